"""The settings, read from environment variables here and nowhere else, and checked at start."""

from collections.abc import Mapping
from dataclasses import dataclass, field


class InvalidSetting(Exception):
    """A setting has an invalid value; the text names it and says what to do."""


@dataclass(frozen=True)
class Settings:
    """The settings of one process. The README lists them."""

    database_url: str = field(default="sqlite:///data/workbench.db", repr=False)  # it may contain a password
    encryption_key: str = field(default="", repr=False)
    encryption_key_file: str = ""
    outgoing_proxy: str = field(default="", repr=False)  # it may contain a password
    outgoing_ca_file: str = ""
    demo_port: int = 18080

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read and check the settings. An empty variable counts as not set. Raises `InvalidSetting`."""
        found = {
            name: environment.get(name, "").strip()
            for name in ("DATABASE_URL", "ENCRYPTION_KEY_FILE", "OUTGOING_PROXY", "OUTGOING_CA_FILE", "DEMO_PORT")
        }
        if "ENCRYPTION_KEY" in environment and not environment["ENCRYPTION_KEY"].strip():
            raise InvalidSetting("ENCRYPTION_KEY is set but empty. Set it to a key, or remove it.")
        url = found["DATABASE_URL"]
        if url and not url.startswith(("sqlite:///", "postgresql://", "postgres://", "postgresql+psycopg://")):
            raise InvalidSetting(
                "DATABASE_URL must start with sqlite:/// or postgresql://, for example sqlite:///data/my.db or "
                "postgresql://user:password@host/name."
            )
        return cls(
            database_url=url or "sqlite:///data/workbench.db",
            encryption_key=environment.get("ENCRYPTION_KEY", "").strip(),
            encryption_key_file=found["ENCRYPTION_KEY_FILE"],
            outgoing_proxy=found["OUTGOING_PROXY"],
            outgoing_ca_file=found["OUTGOING_CA_FILE"],
            demo_port=_port("DEMO_PORT", found["DEMO_PORT"] or str(cls.demo_port)),
        )


def _port(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise InvalidSetting(f"{name} must be a port number from 1 to 65535.")
    return int(text)
