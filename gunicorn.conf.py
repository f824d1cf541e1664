"""How gunicorn serves the shop: `gunicorn "app:create_app()"` reads this file by itself."""

import os
from typing import Any


def _workers() -> int:
    """`WEB_CONCURRENCY`; or one for SQLite, which has one writer at a time, and one a core for PostgreSQL."""
    asked = os.environ.get("WEB_CONCURRENCY")
    if asked:
        return int(asked)
    on_postgresql = os.environ.get("DATABASE_URL", "").startswith("postgres")
    return (os.cpu_count() or 1) if on_postgresql else 1


wsgi_app = "app:create_app()"
bind = f"{os.environ.get('HOST') or '127.0.0.1'}:{os.environ.get('PORT') or '5000'}"
worker_class = "gthread"
workers = _workers()
threads = 4
preload_app = True

timeout = 60
graceful_timeout = 30
keepalive = 5

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190

accesslog = None  # an address tells which family looks at what; the proxy in front may keep a log of its own
errorlog = "-"
loglevel = os.environ.get("LOG_LEVEL") or "info"
control_socket_disable = True
_memory = "/dev/shm"  # noqa: S108 (gunicorn makes its heartbeat file there safely; a slow disk would delay it)
worker_tmp_dir = _memory if os.path.isdir(_memory) else None


def post_fork(server: Any, worker: Any) -> None:
    """Forget the connections of the process that loaded the application: two processes never share one."""
    database = worker.app.wsgi().extensions.get("shop.database")
    if database is not None:
        database.engine.dispose(close=False)
