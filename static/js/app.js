/* Cantine Facile: what JavaScript adds to pages that already work without it.
   Booking ticks, their total and their keeping, the one amount of a top-up, showing a password, one press of a button at a time, printing, focus on errors. */
(() => {
  "use strict";

  const euros = new Intl.NumberFormat("fr-FR", { style: "currency", currency: "EUR" });

  // ---- Booking: [data-booking] is the form; its boxes are named "repas" and their value begins with the child's number.
  // A meal costs what stands on its box (data-cents), or else on the child's column head (#p<number>); [data-tick]
  // buttons tick in place.
  function booking(form) {
    const boxes = Array.from(form.querySelectorAll("input[type=checkbox][name=repas]"));
    const childOf = (box) => box.value.split(".", 1)[0];
    const prices = new Map(Array.from(form.querySelectorAll("th[data-cents]"), (head) => [head.id, Number(head.dataset.cents)]));
    const dayOf = (box) => box.value.split(".", 2)[1];
    // A price that depends on how many of the family's children (th[data-pupil]) eat that day is a list: for one, for two…
    const pupils = new Set(Array.from(form.querySelectorAll("th[data-pupil]"), (head) => head.id));
    const centsOf = (box, eating) => {
      const found = String(box.dataset.cents ?? prices.get(`p${childOf(box)}`)).split(" ");
      const eaters = Number(box.dataset.others ?? 0) + (eating.get(dayOf(box)) ?? 0) + (box.checked ? 0 : 1);
      return Number(found[Math.min(Math.max(eaters, 1), found.length) - 1]);
    };
    const moving = boxes.filter((box) => box.dataset.cents?.includes(" "));
    const output = form.querySelector("[data-total]");
    const submit = form.querySelector("[data-needs-ticks]");

    function count() {
      let meals = 0;
      let cents = 0;
      const ticked = boxes.filter((box) => box.checked && !box.disabled);
      const eating = new Map();
      for (const box of ticked) {
        if (pupils.has(`p${childOf(box)}`)) {
          eating.set(dayOf(box), (eating.get(dayOf(box)) ?? 0) + 1);
        }
      }
      for (const box of moving) {
        const words = box.parentElement.querySelector("small");
        if (words) {
          words.textContent = euros.format(centsOf(box, eating) / 100);
        }
      }
      for (const box of ticked) {
        meals += 1;
        cents += centsOf(box, eating);
      }
      if (output) {
        output.hidden = false;
        output.querySelector("[data-meals]").textContent = String(meals);
        output.querySelector("[data-sum]").textContent = euros.format(cents / 100);
      }
      if (submit) {
        submit.classList.toggle("is-idle", meals === 0);
      }
    }

    // The boxes a button speaks of: those inside data-tick (a CSS selector; empty for all), of the children chosen in the
    // boxes named by data-tick-children, on the weekdays chosen in the boxes named by data-tick-weekdays, in the weeks (all,
    // even or odd) chosen by data-tick-weeks.
    function aim(button) {
      const chosen = (name) => new Set(Array.from(form.querySelectorAll(`input[name="${name}"]:checked`), (i) => i.value));
      const { tick, tickChildren, tickWeekdays, tickWeeks } = button.dataset;
      const children = tickChildren ? chosen(tickChildren) : null;
      const weekdays = tickWeekdays ? chosen(tickWeekdays) : null;
      const parity = tickWeeks ? form.querySelector(`input[name="${tickWeeks}"]:checked`)?.value : "";
      const fits = (box) => !parity || (Number(box.closest("[data-week]")?.dataset.week) % 2 === 0) === (parity === "paires");
      return boxes.filter(
        (box) =>
          !box.disabled &&
          (!tick || box.closest(tick)) &&
          (!children || children.has(childOf(box))) &&
          (!weekdays || weekdays.has(box.closest("[data-weekday]")?.dataset.weekday)) &&
          fits(box),
      );
    }

    // What other families have given back (data-freed, on a day's row) goes to as many children as there are such meals.
    function isLeft(box) {
      const day = box.closest("[data-freed]");
      return !day || day.querySelectorAll("input[name=repas]:checked").length < Number(day.dataset.freed);
    }

    form.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-tick]");
      if (!button) {
        return;
      }
      const aimed = aim(button);
      if (aimed.length === 0) {
        // The page says why the button means no day.
        return;
      }
      event.preventDefault();
      const on = button.dataset.set ? button.dataset.set === "on" : aimed.some((box) => !box.checked && isLeft(box));
      for (const box of aimed) {
        box.checked = on && (box.checked || isLeft(box));
      }
      count();
    });
    form.addEventListener("change", count);
    count();

    // A form takes the ticks along, or means to leave: whoever leaves by a link is asked first.
    let sent = false;
    document.addEventListener("submit", () => {
      sent = true;
    });
    window.addEventListener("pageshow", () => {
      sent = false;
      count();
    });
    window.addEventListener("beforeunload", (event) => {
      if (!sent && boxes.some((box) => box.checked && !box.disabled)) {
        event.preventDefault();
      }
    });
  }

  // ---- Top-up: [data-top-up] is the form. The last choice is the only one: typing ticks "Autre montant", which has no
  // data-cents, and ticking an amount empties the field. The button says the amount when it is one.
  function topUp(form) {
    const choices = Array.from(form.querySelectorAll("input[name=montant]"));
    const another = choices.find((choice) => !choice.dataset.cents);
    const typed = form.querySelector("input[name=montant_libre]");
    const words = form.querySelector("[data-amount]");

    function typedCents() {
      const text = typed.value.replace(/\s/g, "").replace(/€$/, "").replace(",", ".");
      return /^\d{1,7}(\.\d{1,2})?$/.test(text) ? Math.round(Number(text) * 100) : 0;
    }

    function say() {
      const ticked = choices.find((choice) => choice.checked);
      const cents = Number(ticked?.dataset.cents ?? typedCents());
      words.hidden = !cents;
      words.textContent = cents ? `\u00a0: ${euros.format(cents / 100)}` : "";
    }

    form.addEventListener("input", (event) => {
      if (event.target === typed && typed.value.trim()) {
        another.checked = true;
      } else if (event.target === another) {
        typed.focus();
      } else if (event.target.dataset.cents) {
        typed.value = "";
      }
      say();
    });
    // The browser fills a page that it comes back to after its scripts have run.
    window.addEventListener("pageshow", say);
    say();
  }

  // ---- Password: the button appears only where it can work.
  function show(button) {
    const input = document.getElementById(button.dataset.show);
    const words = button.querySelector("span:not(.sr)");
    const first = words.textContent;
    button.hidden = false;
    button.addEventListener("click", () => {
      const seen = input.type === "text";
      input.type = seen ? "password" : "text";
      words.textContent = seen ? first : button.dataset.hideWords;
      button.setAttribute("aria-pressed", String(!seen));
    });
    input.form.addEventListener("submit", () => {
      input.type = "password";
    });
  }

  // ---- One press at a time: a second press within 4 s is ignored; afterwards, or when the page comes back, it works again.
  function once(form) {
    let until = 0;
    form.addEventListener("submit", (event) => {
      if (Date.now() < until) {
        event.preventDefault();
        return;
      }
      until = Date.now() + 4000;
      const button = event.submitter;
      if (button) {
        button.setAttribute("aria-disabled", "true");
        window.setTimeout(() => button.removeAttribute("aria-disabled"), 4000);
      }
    });
    window.addEventListener("pageshow", () => {
      until = 0;
      for (const button of form.querySelectorAll("[aria-disabled]")) {
        button.removeAttribute("aria-disabled");
      }
    });
  }

  document.querySelectorAll("form[data-booking]").forEach(booking);
  document.querySelectorAll("form[data-top-up]").forEach(topUp);
  document.querySelectorAll("button[data-show]").forEach(show);
  document.querySelectorAll("form[data-once]").forEach(once);
  document.querySelectorAll("[data-print]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  });
  document.querySelector("[data-focus]")?.focus();
})();
