"""Where a node listens: host and port, and their text form."""

from typing import Final, NamedTuple

PORT_MAX: Final = 65_535
ADDRESS_CHARACTERS_MAX: Final = 262  # longest DNS name, brackets, colon, port


class PeerAddress(NamedTuple):
    """A host name or address and a TCP port."""

    host: str
    port: int


class InvalidPeerAddressError(ValueError):
    """This text is not host:port; the message says why."""


def parse_peer_address(text: str) -> PeerAddress:
    """host:port or [IPv6]:port; raises InvalidPeerAddressError."""
    host, separator, port = text.rpartition(":")
    if not separator or len(text) > ADDRESS_CHARACTERS_MAX:
        raise InvalidPeerAddressError("write the address as host:port, an IPv6 address as [host]:port")
    if not (port.isascii() and port.isdigit()) or int(port) > PORT_MAX:
        raise InvalidPeerAddressError(f"the port is a number from 0 to {PORT_MAX}, not {port!r}")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if is_bracketed != (":" in host):
        raise InvalidPeerAddressError("an IPv6 address stands in brackets, for instance [::1]:26656")
    host = host[1:-1] if is_bracketed else host
    if not host or any(not "!" <= character <= "~" for character in host):
        raise InvalidPeerAddressError("the address has no host before its port")
    return PeerAddress(host, int(port))


def format_peer_address(address: PeerAddress) -> str:
    """The text that parse_peer_address reads."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"
