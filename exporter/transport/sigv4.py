"""Requests signed for AWS (Signature Version 4), with botocore's signer and chain of credentials: the extra `[aws]`.

A signature covers method, path, query, headers and the hash of the body, so it is made anew for each request.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from exporter.model.endpoint import SigV4
from exporter.model.extras import needs
from exporter.model.failure import Failure, Reason
from exporter.transport import secrets
from exporter.transport.credentials import Asked, Credential
from exporter.transport.lease import Lease, Term
from exporter.transport.thread import in_thread

#: Bodies above this many bytes are hashed in a thread.
LARGE = 65_536
#: Seconds after which botocore is asked again, which refreshes keys that end within a quarter of an hour; and seconds
#: that keys are used while that fails.
RENEW = 60.0
KEEP = 300.0
_MAX_CHAINS = 1024

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Keys(NamedTuple):
    """What signs; `token` only with keys that are temporary."""

    access_key: str
    secret_key: str
    token: str | None


class Signers:
    """Signs, with keys that the settings hold, or with those of botocore's chain, kept in a lease per profile."""

    def __init__(self) -> None:
        self._chains: dict[str | None, _Chain] = {}
        self._signed: Callable[[Keys, SigV4, Asked], Credential] | None = None

    async def sign(self, settings: SigV4, asked: Asked) -> Credential:
        """The headers that sign a request. Raises `Failure(auth)`."""
        if self._signed is None:
            try:
                self._signed = await in_thread(_signer, "sigv4")
            except ImportError:
                raise Failure(Reason.AUTH, f"sigv4 {needs('aws')}") from None
            except OSError as error:
                raise Failure(Reason.AUTH, f"AWS credentials: {error.strerror}") from None
        keys, fresh = _given(settings), True
        if keys is None:
            keys, fresh = await self._chain(settings.profile).lease.get()
        if asked.body and len(asked.body) > LARGE:
            made = await asyncio.to_thread(self._signed, keys, settings, asked)
        else:
            made = self._signed(keys, settings, asked)
        return made._replace(fresh=fresh)

    def refused(self, settings: SigV4, credential: Credential) -> bool:
        """A target refused a signature: whether it is worth asking the chain for other keys."""
        chain = self._chains.get(settings.profile)
        access_key, secret_key, *token = credential.values
        return chain is None or chain.refuse(Keys(access_key, secret_key, token[0] if token else None))

    def close(self) -> None:
        """Give up what is being looked for."""
        for chain in self._chains.values():
            chain.lease.close()

    def _chain(self, profile: str | None) -> "_Chain":
        stamp = _stamp()
        chain = self._chains.get(profile)
        if chain is None or chain.stamp != stamp:
            if len(self._chains) >= _MAX_CHAINS:
                self._chains.clear()
            chain = self._chains[profile] = _Chain(profile, stamp)
        return chain


class _Chain:
    """botocore's search for keys: environment, shared files, web identity, container, instance. Any of it may block."""

    def __init__(self, profile: str | None, stamp: _Stamp) -> None:
        self.stamp = stamp  #: of the files it was made from
        self.lease = Lease(self._fetch)
        self._profile = profile
        self._credentials: Any = None

    def refuse(self, keys: Keys) -> bool:
        """A target refused keys: whether it is worth searching again, from the beginning."""
        if not self.lease.refuse(keys):
            return False
        self._credentials = None
        return True

    async def _fetch(self) -> Term[Keys]:
        """Keys that are good for some minutes. Raises `Failure(auth)`."""
        asked = perf_counter()
        try:
            keys = await in_thread(self._find, "aws credentials")
        except OSError as error:
            raise Failure(Reason.AUTH, f"AWS credentials: {error.strerror}") from None
        if keys is None:
            where = f"profile {self._profile}" if self._profile else "environment, files, web identity, container, role"
            raise Failure(Reason.AUTH, f"AWS credentials: none found ({where})")
        return Term(keys, asked + RENEW, asked + KEEP)

    def _find(self) -> Keys | None:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.session import Session

        try:
            if self._credentials is None:
                self._credentials = Session(profile=self._profile).get_credentials()
            found = self._credentials
            frozen = None if found is None else found.get_frozen_credentials()  # refreshes what ends soon
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            raise Failure(Reason.AUTH, f"AWS credentials: {_told(error)}") from None
        return None if frozen is None else Keys(frozen.access_key, frozen.secret_key, frozen.token)


def _told(error: Exception) -> str:
    """What botocore says, as far as it can hold nothing that a program or a peer wrote."""
    from botocore.exceptions import ClientError, CredentialRetrievalError, PartialCredentialsError, ProfileNotFound

    if isinstance(error, ProfileNotFound | PartialCredentialsError):
        return str(error)
    if isinstance(error, CredentialRetrievalError):
        return f"{error.kwargs.get('provider', 'a source')} gave none"
    if isinstance(error, ClientError):
        return f"{error.operation_name}: {str(error.response.get('Error', {}).get('Code', 'refused'))[:100]}"
    return type(error).__name__


def _given(settings: SigV4) -> Keys | None:
    """The keys that the settings hold. Raises `Failure(auth)` when they cannot be read."""
    if settings.access_key_id is None or settings.secret_access_key is None:
        return None
    token = settings.session_token
    return Keys(
        secrets.read(settings.access_key_id),
        secrets.read(settings.secret_access_key),
        None if token is None else secrets.read(token),
    )


def _stamp() -> _Stamp:
    """Of the files that AWS tools share: when they change, the search begins anew."""
    found: list[tuple[int, int, int] | None] = []
    for name, usual in (("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"), ("AWS_CONFIG_FILE", "~/.aws/config")):
        try:
            stat = Path(os.environ.get(name) or usual).expanduser().stat()
        except (OSError, RuntimeError):
            found.append(None)
        else:
            found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


def _signer() -> Callable[[Keys, SigV4, Asked], Credential]:
    """What signs. Imports botocore, which takes a while."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    def signed(keys: Keys, settings: SigV4, asked: Asked) -> Credential:
        before = dict(asked.headers)
        request = AWSRequest(method=asked.method, url=asked.url, headers=before, data=asked.body or b"")
        SigV4Auth(keys, settings.service, settings.region).add_auth(request)
        made = tuple((name, value) for name, value in request.headers.items() if before.get(name) != value)
        signature = request.headers["Authorization"]
        return Credential(made, tuple(filter(None, keys)), (signature, signature.rpartition("=")[2]))

    return signed
