"""Which keys to offer a server, and what to say of those that cannot be used."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from deployx_edge.errors import AuthenticationError, TransportError
from deployx_edge.files import SMALL, read_text
from deployx_edge.transport.ssh.config import Hop

_FIDO = "sk-"


@dataclass(frozen=True)
class OfferedKey:
    """A key that can sign, and how a message names it."""

    key: paramiko.PKey
    label: str


class KeyRing:
    """The keys for one server, in the order they are offered.

    Keys that the configuration names come first (from the agent where it holds them,
    so that an encrypted file needs no passphrase), then the agent's others, then the
    usual files. ``unusable`` says why other keys were left out.
    """

    def __init__(self, hop: Hop) -> None:
        self.unusable: list[str] = []
        self.offered: list[OfferedKey] = []
        self._agent = paramiko.Agent() if hop.use_agent else None
        held = self._agent_keys()
        if hop.chosen_keys:
            self._add_files(hop, held)
        if not hop.identities_only:
            for entry in held.values():
                self._offer(entry)
        if not hop.chosen_keys:
            self._add_files(hop, held)

    def close(self) -> None:
        """Let go of the agent. The keys can no longer sign."""
        if self._agent is not None:
            self._agent.close()

    def _offer(self, entry: OfferedKey) -> None:
        if all(entry.key.asbytes() != other.key.asbytes() for other in self.offered):
            self.offered.append(entry)

    def _agent_keys(self) -> dict[bytes, OfferedKey]:
        held = {}
        for key in self._agent.get_keys() if self._agent else ():
            label = f"agent key {key.comment or '(no comment)'} {key.fingerprint}"
            if key.get_name().startswith(_FIDO):
                self.unusable.append(f"{label} is a FIDO key")
            else:
                held[key.asbytes()] = OfferedKey(key, label)
        return held

    def _add_files(self, hop: Hop, held: dict[bytes, OfferedKey]) -> None:
        for path in hop.identity_files:
            public = _public_blob(path)
            if public in held:
                self._offer(held[public])
                continue
            if path.suffix == ".pub" or not path.is_file():
                if hop.chosen_keys:
                    self.unusable.append(f"{path} is not there or not in ssh-agent")
                continue
            reason = self._load(path, public)
            if reason:
                self.unusable.append(f"{path} {reason}")

    def _load(self, path: Path, public: bytes) -> str:
        """Offer the key of a file; the reason where it cannot be used."""
        if public[4:].startswith(_FIDO.encode()) or path.name.endswith("_sk"):
            return "is a FIDO key"
        try:
            key = paramiko.PKey.from_path(path)
        except (paramiko.PasswordRequiredException, TypeError):
            # Without a passphrase cryptography says that the file is encrypted by a TypeError.
            return "is encrypted and not in ssh-agent"
        except (UnsupportedAlgorithm, UnknownKeyType):
            return "is of a kind that cannot be used here"
        except (OSError, ValueError, paramiko.SSHException) as error:
            return f"cannot be read ({error})"
        self._offer(OfferedKey(key, f"{path} {key.fingerprint}"))
        return ""


def authenticate(transport: paramiko.Transport, hop: Hop) -> None:
    """Log in with the first key that the server takes.

    AuthenticationError names every key that was offered or left out, and the way on.
    """
    ring = KeyRing(hop)
    try:
        accepted_kinds = _offer_all(transport, hop, ring)
    finally:
        ring.close()
    if accepted_kinds is None:
        return
    tried = ", ".join(entry.label for entry in ring.offered) or "none"
    message = f"{hop.where} refused the user '{hop.user}'; keys tried: {tried}."
    if ring.unusable:
        message += f" Not usable: {'; '.join(ring.unusable)}."
    if accepted_kinds and "publickey" not in accepted_kinds:
        message += f" The server takes {', '.join(accepted_kinds)}, only keys are used here."
    raise AuthenticationError(message, remedy=_remedy(hop, ring))


def _offer_all(transport: paramiko.Transport, hop: Hop, ring: KeyRing) -> list[str] | None:
    """None after the login; else what kinds of login the server named."""
    kinds: list[str] = []
    for entry in ring.offered:
        try:
            further = transport.auth_publickey(hop.user, entry.key)
        except paramiko.BadAuthenticationType as error:
            kinds = list(error.allowed_types)
            continue
        except paramiko.AuthenticationException:
            if not transport.is_active():
                raise _hung_up(hop, ring) from None
            continue
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not transport.is_active():
                raise _hung_up(hop, ring) from error
            ring.unusable.append(f"{entry.label} could not sign ({error})")
            continue
        if not further:
            return None
        raise AuthenticationError(
            f"{hop.where} took {entry.label} and asks for a second step "
            f"({', '.join(further)}), which is not supported.",
            remedy="Let the board take a key alone (AuthenticationMethods publickey).",
        )
    return kinds


def _hung_up(hop: Hop, ring: KeyRing) -> TransportError:
    return AuthenticationError(
        f"{hop.where} hung up while keys were tried for '{hop.user}' "
        f"({len(ring.offered)} keys to offer; servers often stop after 6).",
        remedy="Name the right one in ~/.ssh/config: IdentityFile and IdentitiesOnly yes.",
    )


def _remedy(hop: Hop, ring: KeyRing) -> str:
    port = f"-p {hop.port} " if hop.port != 22 else ""
    target = f"{port}{hop.user}@{hop.name}"
    reasons = " ".join(ring.unusable)
    if "FIDO" in reasons:
        return (
            "FIDO keys work with ssh alone; make an ordinary one: ssh-keygen -t ed25519, "
            f"then ssh-copy-id {target}."
        )
    if "encrypted" in reasons:
        return "Load the encrypted key into the agent: ssh-add FILE."
    if not ring.offered:
        return f"Make a key and give it to the board: ssh-keygen -t ed25519, ssh-copy-id {target}."
    return f"Give the board a key: ssh-copy-id {target}."


def _public_blob(path: Path) -> bytes:
    """The public half beside a private key file; empty where it cannot be read."""
    public = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    try:
        return base64.b64decode(read_text(public, most=SMALL).split()[1], validate=True)
    except (OSError, IndexError, ValueError):
        return b""
