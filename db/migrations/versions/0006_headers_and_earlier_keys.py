"""Headers of configurations, the key before the present one, and endpoints without a query."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("configurations", sa.Column("key_header", sa.String, nullable=False, server_default=""))
    op.add_column("configurations", sa.Column("headers", sa.Text, nullable=False, server_default="{}"))
    op.add_column("configurations", sa.Column("earlier_key", sa.Text, nullable=False, server_default=""))
    rows = op.get_bind().execute(sa.text("SELECT id, endpoint FROM configurations")).all()
    for id, endpoint in rows:
        if without_query(endpoint) != endpoint:
            shorter = sa.text("UPDATE configurations SET endpoint = :endpoint WHERE id = :id")
            op.execute(shorter.bindparams(id=id, endpoint=without_query(endpoint)))


def without_query(endpoint: str) -> str:
    """It may be a key, which would stand here unencrypted; the API version is kept."""
    address, _, query = endpoint.partition("#")[0].partition("?")
    version = re.search(r"(?:^|&)(api-version=[\w.-]+)", query, re.ASCII)
    return f"{address}?{version[1]}" if version else address
