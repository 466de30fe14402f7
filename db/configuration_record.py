"""The row of a configuration, and what is encrypted in it."""

import json
import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import CheckConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from connector import ApiType, InvalidConfiguration, KeyType, origin_of
from db.base import Record

log = logging.getLogger(__name__)


class ConfigurationRecord(Record):
    __tablename__ = "configurations"
    __table_args__ = (CheckConstraint("api_type IN ('OpenAI', 'AzureOpenAI')", name="api_type"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    display_name: Mapped[str]
    folded_name: Mapped[str] = mapped_column(unique=True)
    """The case-folded `display_name`; the database's lower() supports only ASCII."""
    api_type: Mapped[ApiType]
    key_type: Mapped[KeyType]
    endpoint: Mapped[str]
    """As entered, without a query."""
    deployment_name: Mapped[str]
    api_version: Mapped[str]
    model_default: Mapped[str]
    key_header: Mapped[str]
    headers: Mapped[str] = mapped_column(Text)
    """JSON: name -> encrypted value."""
    sealed_key: Mapped[str] = mapped_column(Text)
    """Empty if the key type is an identity."""
    key_hint: Mapped[str] = mapped_column(String(4))
    earlier_key: Mapped[str] = mapped_column(Text)
    """The encrypted key that `sealed_key` replaced, for the same origin; empty once `sealed_key` was accepted."""
    price: Mapped[str | None] = mapped_column(Text)
    """The configuration's own price, as JSON."""
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    version: Mapped[int]
    """Increases by one with each change by a person."""
    is_enabled: Mapped[bool]
    is_default: Mapped[bool]


def origin_in(record: ConfigurationRecord) -> str:
    """Return the origin that the endpoint leads to; empty if it leads nowhere."""
    try:
        return origin_of(record.endpoint)
    except InvalidConfiguration:  # written by another program; no key was entered for it
        return ""


def sealed_headers(record: ConfigurationRecord) -> dict[str, str]:
    """Return the encrypted values of the headers, by name."""
    try:
        found = json.loads(record.headers)
    except ValueError:
        found = None
    if isinstance(found, dict) and all(isinstance(text, str) for text in found.values()):
        return found
    log.warning("The headers of the configuration “%s” cannot be read.", record.display_name)
    return {}


def sealed_texts(record: ConfigurationRecord) -> list[str]:
    """Return all that is encrypted in a configuration: its key, the values of its headers, its earlier key."""
    texts = record.sealed_key, *sealed_headers(record).values(), record.earlier_key
    return [each for each in texts if each]


def reseal(record: ConfigurationRecord, resealed: Callable[[str], str]) -> None:
    """Replace all that is encrypted in a configuration with what `resealed` makes of it."""
    record.sealed_key, record.earlier_key = (
        resealed(each) if each else "" for each in (record.sealed_key, record.earlier_key)
    )
    record.headers = json.dumps({name: resealed(each) for name, each in sealed_headers(record).items()})


def forget_what(record: ConfigurationRecord, is_lost: Callable[[str], bool]) -> None:
    """Remove what is encrypted in a configuration and lost, for example with its encryption key."""
    record.headers = json.dumps({name: each for name, each in sealed_headers(record).items() if not is_lost(each)})
    if is_lost(record.earlier_key):
        record.earlier_key = ""
    if is_lost(record.sealed_key):
        record.sealed_key = record.key_hint = ""
