"""A node's home directory: what lies where."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """Paths under one directory. `safety` and `keys` are touched by no reset."""

    directory: Path

    @property
    def config_file(self) -> Path:
        """The node's settings."""
        return self.directory / "config.toml"

    @property
    def genesis_file(self) -> Path:
        """The network's genesis document."""
        return self.directory / "genesis.json"

    @property
    def keys(self) -> Path:
        """account, consensus and node keys, mode 0700."""
        return self.directory / "keys"

    @property
    def data(self) -> Path:
        """LevelDB: blocks and state."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The consensus write-ahead log."""
        return self.directory / "log"

    @property
    def safety(self) -> Path:
        """What this node's consensus key has signed last; losing it risks signing twice."""
        return self.directory / "safety"
