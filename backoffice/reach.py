"""What a member of staff may see and do."""

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from accounts.models import StaffRole
from backoffice.rules import Post, Reach
from catalog.models import Commune


def reach_of(db: Session, account_id: int) -> Reach:
    """How far the roles of an account reach today: nothing when they were all taken back."""
    within = or_(
        StaffRole.scope == "platform",
        and_(StaffRole.scope == "regie", StaffRole.regie_id == Commune.regie_id),
        and_(StaffRole.scope == "commune", StaffRole.commune_id == Commune.id),
    )
    rows = db.execute(
        select(Commune.id, Commune.name, StaffRole.role)
        .join(StaffRole, within)
        .where(StaffRole.account_id == account_id, StaffRole.revoked_at.is_(None))
        .order_by(Commune.name, Commune.id)
    )
    return Reach(account_id, tuple(Post(*row) for row in rows))
