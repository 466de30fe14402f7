"""Configurations: everybody can use them, administrators can change them. Only `open` returns a key.

A key is opened to connect, to seal it for a copy of its configuration (`duplicate`), to see which host it was entered
for when its configuration is changed, and to put it under another encryption key (`db.encryption_keys`). Lists, forms
and changes also work without the encryption key.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session

from connector import Account, ApiType, Configuration, InvalidConfiguration, KeyType, Price
from db.adaptations import forget
from db.audit import AuditAction, last_change, note
from db.base import as_value
from db.cipher import Cipher, other_host
from db.configuration_record import ConfigurationRecord, origin_in, sealed_headers
from db.errors import CannotOpen, ChangedMeanwhile, NotAllowed, NotFound
from db.people import Person
from db.safe import Safe
from db.storage import Storage

log = logging.getLogger(__name__)

_WHAT_ANSWERS = ("api_type", "endpoint", "deployment_name", "api_version")
_COLUMNS = tuple(name for name in Account.model_fields if name != "headers")
_LONGEST_DETAIL = 200  # characters


@dataclass(frozen=True, slots=True)
class SavedConfiguration:
    """A stored configuration without its key, for lists and forms."""

    id: str
    display_name: str
    api_type: ApiType
    key_type: KeyType
    endpoint: str
    deployment_name: str
    api_version: str
    model_default: str
    key_header: str
    header_names: tuple[str, ...]
    """The names of its headers, without their values."""
    key_hint: str
    """The last four characters of the key; empty if the key has fewer than twelve."""
    has_earlier_key: bool
    """Whether the key that was replaced is still there, because its successor was not accepted yet."""
    price: Price | None
    """The configuration's own price, which replaces the list price."""
    created_at: datetime
    changed_at: datetime
    version: int
    """Pass it to `change` to detect concurrent changes."""
    is_enabled: bool
    is_default: bool
    is_key_readable: bool
    """Whether the encryption key of its API key and headers is available; checked without decrypting them."""

    @property
    def account(self) -> Account:
        """The account of this configuration, for its URL, code snippets and examination steps.

        Raises `InvalidConfiguration` if another program wrote invalid values into the database.
        """
        return Account(**{name: getattr(self, name) for name in _COLUMNS}, headers=_without_values(self.header_names))


class Configurations:
    """All configurations. Everybody can use them; changing them raises `NotAllowed` unless the person is an
    administrator."""

    def __init__(self, storage: Storage, cipher: Cipher, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._safe = Safe(cipher)
        self._clock = clock

    def all(self, person: Person) -> list[SavedConfiguration]:
        """Return all configurations, sorted by case-folded name. Works without the encryption key."""
        with self._storage.reading() as session:
            records = session.scalars(select(ConfigurationRecord))
            return [self._saved(record) for record in sorted(records, key=lambda each: each.folded_name)]

    def get(self, person: Person, id: str) -> SavedConfiguration:
        """Return one configuration without decrypting its key. Raises `NotFound`."""
        with self._storage.reading() as session:
            return self._saved(_found(session, id))

    def open(self, person: Person, id: str, *, is_test: bool = False) -> Configuration:
        """Return one configuration with its key, ready for a `Client`. Raises `NotFound` and `CannotOpen`.

        A disabled configuration raises `NotAllowed`, except for an administrator's test.
        """
        if is_test:
            person.must_be_administrator()
        with self._storage.reading() as session:
            record = _found(session, id)
            if not record.is_enabled and not is_test:
                raise NotAllowed(f"“{record.display_name}” is switched off. Pick another configuration.")
            return self._opened(record)

    def add(self, person: Person, configuration: Configuration, price: Price | None = None) -> SavedConfiguration:
        """Save a new configuration. Raises `InvalidConfiguration` if its name, ignoring case, is in use."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            return self._add(session, person, configuration, price)

    def change(
        self,
        person: Person,
        id: str,
        fields: Mapping[str, object],
        api_key: SecretStr | None = None,
        *,
        version: int | None = None,
    ) -> SavedConfiguration:
        """Change some fields of a configuration (or its `price`), and its key unless `api_key` is None or empty.

        A header with an empty value keeps its stored value. The stored key is bound to its origin and key type: an
        endpoint with another origin, or another key type, requires the key again, and another origin the values of the
        headers, too. The replaced key is kept until the new one is `accepted`. `version` is the version that the
        changes are based on. Raises `NotFound`, `InvalidConfiguration`, and `ChangedMeanwhile` if the stored version
        differs.
        """
        person.must_be_administrator()
        with self._storage.writing() as session:
            record = _found(session, id)
            _must_be_unchanged(session, record, version)
            before = {**_fields(record), "price": _price(record)}
            after = {**before, **fields}
            price = after.pop("price")
            account, key = self._checked(record, after, api_key)
            if any(getattr(account, name) != getattr(record, name) for name in _WHAT_ANSWERS):
                forget(session, id)  # the adaptations belong to another model or API version
            self._write(session, record, account, key, price)
            changes = _changes(before, {**_fields(record), "price": _price(record)})
            changes += [f"Header {name}: value replaced" for name in before["headers"] if account.headers.get(name)]
            if api_key and record.sealed_key:
                changes.append("Key: replaced")
            self._note(session, person, AuditAction.CHANGED, record, *changes)
            return self._saved(record)

    def duplicate(self, person: Person, id: str) -> SavedConfiguration:
        """Copy a configuration with its key under a new name. Raises `NotFound` and `CannotOpen`."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            record = _found(session, id)
            copy = {**dict(self._opened(record)), "display_name": _free_name(session, record.display_name)}
            configuration = Configuration(**copy)
            return self._add(session, person, configuration, _price(record), f"Copy of “{record.display_name}”")

    def accepted(self, person: Person, id: str, configuration: Configuration) -> None:
        """Note that a provider answered a call with this key: the key that it replaced is discarded.

        Does nothing if the stored key is another one by now.
        """
        with self._storage.reading() as session:
            record = session.get(ConfigurationRecord, id)
            if record is None or not record.earlier_key:  # nearly always
                return
        with self._storage.writing() as session, suppress(CannotOpen):
            record = session.get(ConfigurationRecord, id)
            if record is not None and self._safe.key(record) == configuration.api_key:
                record.earlier_key = ""

    def put_earlier_key_back(self, person: Person, id: str) -> SavedConfiguration:
        """Replace the key with the one before it. Raises `NotFound`, `CannotOpen`, and `ChangedMeanwhile` if there is
        no earlier key any more.
        """
        person.must_be_administrator()
        with self._storage.writing() as session:
            record = _found(session, id)
            if not record.earlier_key:
                raise ChangedMeanwhile(f"“{record.display_name}” has no earlier key any more. Nothing was changed.")
            self._safe.put_earlier_key_back(record)
            record.changed_at = self._clock()
            record.version += 1
            self._note(session, person, AuditAction.CHANGED, record, "Key: the earlier key was put back")
            return self._saved(record)

    def set_enabled(self, person: Person, id: str, is_enabled: bool) -> SavedConfiguration:
        """Switch a configuration on or off. If it is off, pages do not offer it, and it is not the default."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            record = _found(session, id)
            if record.is_enabled != is_enabled:
                record.is_enabled = is_enabled
                record.is_default = record.is_default and is_enabled
                record.version += 1
                self._note(session, person, AuditAction.CHANGED, record, f"Switched {'on' if is_enabled else 'off'}")
            return self._saved(record)

    def make_default(self, person: Person, id: str) -> SavedConfiguration:
        """Make it the only default, with which pages start. Raises `InvalidConfiguration` if it is switched off."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            record = _found(session, id)
            if not record.is_enabled:
                raise InvalidConfiguration({"is_default": "Switch it on before it becomes the default."})
            if not record.is_default:
                session.execute(update(ConfigurationRecord).values(is_default=ConfigurationRecord.id == id))
                self._note(session, person, AuditAction.CHANGED, record, "Made the default")
            session.refresh(record)
            return self._saved(record)

    def delete(self, person: Person, id: str) -> None:
        """Delete a configuration. Raises `NotFound`. Its chats stay without one; its calls keep its name."""
        person.must_be_administrator()
        with self._storage.writing() as session:
            record = _found(session, id)
            self._note(session, person, AuditAction.DELETED, record)
            session.delete(record)

    def _add(
        self, session: Session, person: Person, configuration: Configuration, price: Price | None, *details: str
    ) -> SavedConfiguration:
        record = ConfigurationRecord(
            id=uuid4().hex, created_at=self._clock(), version=0, is_enabled=True, is_default=False
        )
        record.sealed_key = record.earlier_key = record.key_hint = ""
        record.headers = "{}"
        self._write(session, record, configuration, configuration.api_key, price)
        self._note(session, person, AuditAction.CREATED, record, *details)
        return self._saved(record)

    def _checked(
        self, record: ConfigurationRecord, fields: dict[str, Any], api_key: SecretStr | None
    ) -> tuple[Account, SecretStr | None]:
        """Return the changed account, and its new key if it gets one.

        Raises `InvalidConfiguration`, also if the stored key or header values do not fit the changed account.
        """
        account = Account(**fields)
        key = None
        has_key = record.key_type is not KeyType.ENTRA_IDENTITY and record.sealed_key
        if api_key or not has_key or account.key_type is KeyType.ENTRA_IDENTITY:
            typed = {name: value for name, value in account.headers.items() if value}
            key = Configuration(**{**fields, "headers": typed, "api_key": api_key or SecretStr("")}).api_key
        elif account.key_type is not record.key_type:
            raise InvalidConfiguration({"api_key": "The stored key has another type. Enter a key of this type."})
        self._must_fit(record, account, is_key_kept=key is None)
        return account, key

    def _must_fit(self, record: ConfigurationRecord, account: Account, *, is_key_kept: bool) -> None:
        """Raise `InvalidConfiguration` if what is kept was entered for another origin, or if a value is missing."""
        stored = sealed_headers(record)
        kept = [name for name, value in account.headers.items() if not value]
        if missing := next((name for name in kept if name not in stored), ""):
            raise InvalidConfiguration({"headers": f"Enter the value of the header {missing}."})
        bound_to = self._safe.bound_to(record)
        if account.origin == bound_to:
            return
        if is_key_kept:
            is_new = account.origin != origin_in(record)
            sentence = "The endpoint has another host now. Enter the key again."
            raise InvalidConfiguration({"api_key": sentence if is_new else other_host(bound_to, account.origin)})
        if kept:
            raise InvalidConfiguration({"headers": "The endpoint has another host now. Enter all values again."})

    def _write(
        self,
        session: Session,
        record: ConfigurationRecord,
        account: Account,
        key: SecretStr | None,
        price: Price | None,
    ) -> None:
        """Write an account, its key unless it is None, and the values of its headers unless they are empty."""
        folded = account.display_name.casefold()
        same_name = ConfigurationRecord.folded_name == folded, ConfigurationRecord.id != record.id
        # The transaction holds the write lock, so nobody can use the name before the commit.
        if session.scalar(select(exists().where(*same_name))):
            raise InvalidConfiguration({"display_name": "Another configuration has this name already."})
        self._safe.write(record, account, key)
        now = self._clock()
        for name in _COLUMNS:
            setattr(record, name, getattr(account, name))
        record.folded_name = folded
        if _numbers(price) != _numbers(_price(record)):
            dated = price and Price(**{**dict(price), "since": now.date()})
            record.price = dated.model_dump_json() if dated else None
        record.changed_at = now
        record.version += 1
        session.add(record)

    def _opened(self, record: ConfigurationRecord) -> Configuration:
        secrets = {"api_key": self._safe.key(record), "headers": self._safe.headers(record)}
        return Configuration(**{**_fields(record), **secrets})

    def _saved(self, record: ConfigurationRecord) -> SavedConfiguration:
        return as_value(
            SavedConfiguration,
            record,
            price=_price(record),
            header_names=tuple(sealed_headers(record)),
            has_earlier_key=bool(record.earlier_key),
            is_key_readable=self._safe.is_readable(record),
        )

    def _note(
        self, session: Session, person: Person, action: AuditAction, record: ConfigurationRecord, *details: str
    ) -> None:
        note(session, person, action, self._clock(), *details, id=record.id, name=record.display_name)


def _must_be_unchanged(session: Session, record: ConfigurationRecord, version: int | None) -> None:
    if version is None or record.version == version:
        return
    entry = last_change(session, record.id)
    who = f"{entry.person_name} changed" if entry else "Somebody changed"
    what = f" ({'; '.join(entry.details)})" if entry and entry.details else ""
    raise ChangedMeanwhile(f"{who} “{record.display_name}” meanwhile{what}. Your changes are not saved yet.")


def _free_name(session: Session, name: str) -> str:
    used = set(session.scalars(select(ConfigurationRecord.folded_name)))
    for number in count(1):
        ending = " (copy)" if number == 1 else f" (copy {number})"
        found = name[: 100 - len(ending)] + ending
        if found.casefold() not in used:
            return found
    raise AssertionError("count() ends")


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Describe the changes for the audit log."""
    changed = [name for name in before if before[name] != after[name]]
    titles = {name: field.title or name for name, field in Account.model_fields.items()}
    said = []
    for name in changed:
        if name == "price":
            said.append("Own price: changed" if after[name] else "Own price: removed")
            continue
        old, new = (_shown(values[name]) for values in (before, after))
        said.append(f"{titles[name]}: {old} → {new}" if old != new else f"{titles[name]}: changed")
    return said


def _shown(value: object) -> str:
    text = ", ".join(value) if isinstance(value, dict) else str(value)
    return text[:_LONGEST_DETAIL] or "none"


def _numbers(price: Price | None) -> dict[str, object]:
    return price.model_dump(exclude={"since"}) if price else {}


def address_of(session: Session, id: str) -> str | None:
    """Return the URL that calls of a configuration are sent to; None if it was deleted or is invalid."""
    record = session.get(ConfigurationRecord, id)
    try:
        return Account(**_fields(record)).url if record else None
    except InvalidConfiguration:
        return None


def price_of(session: Session, id: str | None) -> Price | None:
    """Return the own price of a configuration, or None."""
    record = session.get(ConfigurationRecord, id) if id else None
    return _price(record) if record else None


def must_exist(session: Session, id: str | None) -> None:
    """Raise `NotFound` if the configuration has been deleted."""
    if id is not None:
        _found(session, id)


def is_any_key_sealed(session: Session) -> bool:
    """Return whether the database contains an encrypted API key or header."""
    is_sealed = or_(ConfigurationRecord.sealed_key != "", ConfigurationRecord.headers != "{}")
    return bool(session.scalar(select(exists().where(is_sealed))))


def _found(session: Session, id: str) -> ConfigurationRecord:
    record = session.get(ConfigurationRecord, id)
    if record is None:
        raise NotFound("This configuration no longer exists.")
    return record


def _price(record: ConfigurationRecord) -> Price | None:
    try:
        return Price(**json.loads(record.price)) if record.price else None
    except (ValueError, TypeError, InvalidConfiguration):
        # Written by another program; the configuration works without its own price.
        log.warning("The price of the configuration “%s” cannot be read.", record.display_name)
        return None


def _fields(record: ConfigurationRecord) -> dict[str, Any]:
    """The fields of an account, with the names of the headers only."""
    return {name: getattr(record, name) for name in _COLUMNS} | {"headers": _without_values(sealed_headers(record))}


def _without_values(names: Iterable[str]) -> dict[str, SecretStr]:
    return dict.fromkeys(names, SecretStr(""))
