"""Records of a name server as a list of targets: A, AAAA and SRV, as Prometheus's `dns_sd_configs`.

Source: prometheus.io/docs, "dns_sd_config"; RFC 2782 for SRV. dnspython (the extra `[dns]`) speaks to the name server,
by the system's resolv.conf, search domains included, or to the servers that are named.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

from exporter.discovery.groups import ADDRESS
from exporter.discovery.listing import Part
from exporter.model.endpoint import bracketed
from exporter.model.extras import needs
from exporter.model.failure import Failure, Reason
from exporter.transport.thread import in_thread

Type = Literal["SRV", "A", "AAAA"]

#: Look-ups of one list under way at once.
AT_ONCE = 8
_PORT = 53


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `port` goes with addresses, SRV brings its own; `servers` are (address, port or 0 for 53), none
    for the system's; `timeout` is in seconds, for each name.
    """

    names: tuple[str, ...]
    type: Type
    port: int
    servers: tuple[tuple[str, int], ...]
    timeout: float


async def read(question: Question) -> list[Part]:
    """Each name's records. A name that does not exist has none; one that could not be looked up keeps what it had.

    Raises `Failure` (internal) where dnspython is not installed.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Part:
        async with slots:
            # Messages of thousands of records are parsed for tens of milliseconds: not on the loop that measures.
            return await in_thread(lambda: _look_up(question, name), f"records of {name}")

    return list(await asyncio.gather(*map(one, question.names)))


def _look_up(question: Question, name: str) -> Part:
    """Blocks. Raises `Failure`."""
    try:
        import dns.exception
        import dns.nameserver
        import dns.resolver
    except ImportError:
        raise Failure(Reason.INTERNAL, f"dns {needs('dns')}") from None
    try:
        resolver = dns.resolver.Resolver(configure=not question.servers)
        if question.servers:
            resolver.nameservers = [
                dns.nameserver.Do53Nameserver(address, port or _PORT) for address, port in question.servers
            ]
        answer = resolver.resolve(
            name, question.type, lifetime=question.timeout, raise_on_no_answer=False, search=True
        )  # fmt: skip
    except dns.resolver.NXDOMAIN:
        return Part(name, [])
    except dns.resolver.LifetimeTimeout:
        return Part(name, None, f"{name}: no answer within {question.timeout:g} s", Reason.DNS)
    except (dns.exception.DNSException, OSError) as error:
        return Part(name, None, f"{name}: {str(error)[:200]}", Reason.DNS)
    return Part(name, [entry for record in answer.rrset or () if (entry := _entry(question, name, record))])


def _entry(question: Question, name: str, record: Any) -> dict[str, str] | None:
    """One record as labels; None for an SRV record that says there is no service."""
    if question.type != "SRV":
        return {"__meta_dns_name": name, ADDRESS: f"{bracketed(record.address)}:{question.port}"}
    target = record.target.to_text(omit_final_dot=True)
    if target == ".":
        return None
    return {
        "__meta_dns_name": name,
        "__meta_dns_srv_record_target": target,
        "__meta_dns_srv_record_port": str(record.port),
        ADDRESS: f"{target}:{record.port}",
    }
