"""Configurations: for everybody to use, for administrators to change. Their keys leave this package in `open` only."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import CheckConstraint, String, Text, exists, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from connector import ApiType, Configuration, InvalidConfiguration, KeyType, Price, origin_of
from db.adaptations import forget
from db.base import NotFound, Record, Storage, as_value
from db.cipher import Cipher
from db.people import Person

log = logging.getLogger(__name__)

_WHAT_ANSWERS = ("api_type", "endpoint", "deployment_name", "api_version")
_FIELDS = tuple(name for name in Configuration.model_fields if name != "api_key")


class ConfigurationRecord(Record):
    __tablename__ = "configurations"
    __table_args__ = (CheckConstraint("api_type IN ('OpenAI', 'AzureOpenAI')", name="api_type"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    display_name: Mapped[str]
    folded_name: Mapped[str] = mapped_column(unique=True)
    """`display_name` without regard to case; the database's own lower() knows only ASCII."""
    api_type: Mapped[ApiType]
    key_type: Mapped[KeyType]
    endpoint: Mapped[str]
    """As it was typed."""
    deployment_name: Mapped[str]
    api_version: Mapped[str]
    model_default: Mapped[str]
    sealed_key: Mapped[str] = mapped_column(Text)
    key_hint: Mapped[str] = mapped_column(String(4))
    price: Mapped[str | None] = mapped_column(Text)
    """One's own, as JSON."""
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class SavedConfiguration:
    """A stored configuration as lists and forms show it: without its key."""

    id: str
    display_name: str
    api_type: ApiType
    key_type: KeyType
    endpoint: str
    deployment_name: str
    api_version: str
    model_default: str
    key_hint: str
    """The last four characters of the key; empty when it has fewer than twelve."""
    price: Price | None
    """One's own, where the list price is not what is paid."""
    created_at: datetime
    changed_at: datetime


class Configurations:
    """All configurations. Everybody may use them; others than administrators who change them get `NotAllowed`."""

    def __init__(self, storage: Storage, cipher: Cipher, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._cipher = cipher
        self._clock = clock

    def all(self, person: Person) -> list[SavedConfiguration]:
        """By name, without regard to case. Opens no key, so it works when the encryption key is lost."""
        with self._storage.reading() as session:
            records = session.scalars(select(ConfigurationRecord).order_by(ConfigurationRecord.folded_name))
            return [_saved(record) for record in records]

    def get(self, person: Person, id: str) -> SavedConfiguration:
        """One of them; raises `NotFound`. Opens no key."""
        with self._storage.reading() as session:
            return _saved(_found(session, id))

    def open(self, person: Person, id: str) -> Configuration:
        """One of them with its key, ready for a `Client`; raises `NotFound` and `CannotOpen`."""
        with self._storage.reading() as session:
            record = _found(session, id)
            return Configuration(**_fields(record), api_key=self._stored_key(record))

    def add(self, person: Person, configuration: Configuration) -> SavedConfiguration:
        """Save a new one; raises `InvalidConfiguration` when its name is taken, in whatever case."""
        person.must_be_administrator()
        now = self._clock()
        with self._storage.writing() as session:
            record = ConfigurationRecord(id=uuid4().hex, created_at=now)
            self._write(session, record, configuration, now)
            return _saved(record)

    def change(
        self, person: Person, id: str, fields: Mapping[str, str], api_key: SecretStr | None = None
    ) -> SavedConfiguration:
        """Change some fields of `Configuration`, and the key unless `api_key` is None or empty.

        The stored key stays with the origin it was entered for: an endpoint at another one needs the key again. Raises
        `NotFound`, `InvalidConfiguration`, and `CannotOpen` when the key is to stay but does not open.
        """
        person.must_be_administrator()
        with self._storage.writing() as session:
            record = _found(session, id)
            given = {**_fields(record), **fields}
            # An identity needs no key, so a stored one is not kept for it.
            needs_key = given["key_type"] != KeyType.ENTRA_IDENTITY
            key = api_key or (self._stored_key(record) if needs_key else SecretStr(""))
            configuration = Configuration(**{**given, "api_key": key})
            if needs_key and not api_key and configuration.origin != origin_of(record.endpoint):
                raise InvalidConfiguration({"api_key": "The address leads to another host now; enter the key again."})
            if any(getattr(configuration, name) != getattr(record, name) for name in _WHAT_ANSWERS):
                forget(session, id)  # it was about another model, or another version
            self._write(session, record, configuration, self._clock())
            return _saved(record)

    def set_price(self, person: Person, id: str, price: Price | None) -> SavedConfiguration:
        """One's own price for the calls from now on, dated today; None: the list price. Raises `NotFound`."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            record = _found(session, id)
            now = self._clock()
            dated = price and Price(**{**dict(price), "since": now.date()})
            record.price = dated.model_dump_json() if dated else None
            record.changed_at = now
            return _saved(record)

    def delete(self, person: Person, id: str) -> None:
        """Delete one; raises `NotFound`. Chats stay and have none then; calls stay under its name."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            session.delete(_found(session, id))

    def _stored_key(self, record: ConfigurationRecord) -> SecretStr:
        return self._cipher.open(record.sealed_key, record.id, origin_of(record.endpoint))

    def _write(
        self, session: Session, record: ConfigurationRecord, configuration: Configuration, now: datetime
    ) -> None:
        folded = configuration.display_name.casefold()
        same_name = ConfigurationRecord.folded_name == folded, ConfigurationRecord.id != record.id
        # Nobody else can take it between this look and the commit: the transaction holds the write lock.
        if session.scalar(select(exists().where(*same_name))):
            raise InvalidConfiguration({"display_name": "Another configuration has this name already."})
        for name in _FIELDS:
            setattr(record, name, getattr(configuration, name))
        key = configuration.api_key.get_secret_value()
        record.folded_name = folded
        record.sealed_key = self._cipher.seal(configuration.api_key, record.id, configuration.origin)
        record.key_hint = key[-4:] if len(key) >= 12 else ""
        record.changed_at = now
        session.add(record)


def address_of(session: Session, id: str) -> str | None:
    """Where calls of a configuration go now; None when it was deleted."""
    record = session.get(ConfigurationRecord, id)
    # The address does not depend on the key: any will do here.
    return Configuration(**_fields(record), api_key=SecretStr("any")).url if record else None


def price_of(session: Session, id: str | None) -> Price | None:
    """The own price of a configuration, None where there is none."""
    record = session.get(ConfigurationRecord, id) if id else None
    return _price(record) if record else None


def must_exist(session: Session, id: str | None) -> None:
    """Raises `NotFound` when a configuration that is about to be referred to has been deleted meanwhile."""
    if id is not None:
        _found(session, id)


def is_any_key_sealed(session: Session) -> bool:
    """Whether the database holds a sealed key."""
    return bool(session.scalar(select(exists(select(ConfigurationRecord.id)))))


def _found(session: Session, id: str) -> ConfigurationRecord:
    record = session.get(ConfigurationRecord, id)
    if record is None:
        raise NotFound("This configuration does not exist any more.")
    return record


def _saved(record: ConfigurationRecord) -> SavedConfiguration:
    return as_value(SavedConfiguration, record, price=_price(record))


def _price(record: ConfigurationRecord) -> Price | None:
    try:
        return Price(**json.loads(record.price)) if record.price else None
    except (ValueError, TypeError, InvalidConfiguration):
        # Whoever changed it there: the configuration itself works without.
        log.warning("The price of the configuration “%s” cannot be read.", record.display_name)
        return None


def _fields(record: ConfigurationRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _FIELDS}
