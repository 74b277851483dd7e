"""Session: how a call's settings get onto a connection, and the connections that outlive a request.

Without a session a statement has a fresh connection, and what is set there dies with it. A session keeps its
connection, so temporary tables and `SET` last; but the settings in a URL hold for one statement only, so they are taken
back when the next call does not bring the same ones. Where the client itself has used `SET`, each value is remembered
before it is covered, which costs a query more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.clock import Clock
from gateway.engine.call import VOLATILE, Call, Params, SessionCall, quote, quote_name
from gateway.engine.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, TOO_MANY_SIMULTANEOUS_QUERIES, EngineError
from gateway.engine.lexer import tokens
from gateway.engine.library import Library, Link
from gateway.engine.options import EngineOptions


@dataclass(slots=True)
class Session:
    """A connection kept under a name; used by one statement at a time."""

    call: SessionCall
    link: Link
    expires_at: float = 0.0
    is_busy: bool = True
    has_set: bool = False
    """Whether the client has run a `SET` of its own."""
    applied: dict[str, bytes] = field(default_factory=dict)
    """Settings of the last URL that are still in force."""

    def prepare(self, call: Call, text: bytes, params: Params) -> None:
        """Put the connection into the state that `call` asks for."""
        word = next((token.text for token in tokens(text)), b"")
        wanted = {} if word == b"SET" else dict(call.settings)
        for name in ("readonly", *VOLATILE):
            wanted.pop(name, None)
        self._take_back(wanted)
        if self.has_set:
            self.applied = self._covered(wanted)
        changed = {name: value for name, value in wanted.items() if self.applied.get(name) != value}
        prepare(self.link, call, changed, params)
        if not self.has_set:
            self.applied = wanted
        self.has_set = self.has_set or word == b"SET"

    def _take_back(self, wanted: Mapping[str, bytes]) -> None:
        if self.has_set:
            undone = [f"{name}=".encode() + quote(value) for name, value in self.applied.items()]
            self.applied = {}
        else:
            undone = [f"{name}=DEFAULT".encode() for name in self.applied if name not in wanted]
        if undone:
            self.link.execute(b"SET " + b", ".join(undone))

    def _covered(self, wanted: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the values that `wanted` will cover, in text."""
        covered = {}
        for name in wanted:
            value = self.link.execute(f"SELECT getSetting('{name}')".encode(), "TabSeparatedRaw").body
            covered[name] = value.removesuffix(b"\n")
        return covered


class Sessions:
    """All sessions; belongs to the loop."""

    def __init__(self, library: Library, options: EngineOptions, clock: Clock) -> None:
        self._library = library
        self._sessions_max = options.sessions_max
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def take(self, call: SessionCall) -> Session:
        """Return the session, made now if need be, busy until `give_back`.

        Raises:
            EngineError: it is busy, should exist and does not, or there are too many.
        """
        self._expire()
        session = self._sessions.get(call.id)
        if session is None:
            if call.must_exist:
                raise EngineError(SESSION_NOT_FOUND, f"Session {call.id} not found")
            if len(self._sessions) >= self._sessions_max:
                raise EngineError(TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many sessions: {self._sessions_max}")
            session = self._sessions[call.id] = Session(call, self._library.connect())
        elif session.is_busy:
            raise EngineError(SESSION_IS_LOCKED, f"Session {call.id} is locked by a concurrent client")
        session.call = call
        session.is_busy = True
        return session

    def give_back(self, session: Session) -> None:
        """End the use of `session`."""
        session.is_busy = False
        session.expires_at = self._clock.monotonic() + session.call.timeout_seconds
        if session.call.close:
            self._close(session)

    def close(self) -> None:
        """Close all that are idle."""
        for session in [session for session in self._sessions.values() if not session.is_busy]:
            self._close(session)

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for session in [one for one in self._sessions.values() if not one.is_busy and one.expires_at <= now]:
            self._close(session)

    def _close(self, session: Session) -> None:
        del self._sessions[session.call.id]
        session.link.close()


def prepare(link: Link, call: Call, settings: Mapping[str, bytes], params: Params) -> None:
    """Set on `link` the database of `call`, its id, `settings` and `params`."""
    if call.database:
        link.execute(b"USE " + quote_name(call.database))
    volatile = {} if call.tag else _volatile(call)
    changes = {**settings, **volatile} | {f"param_{name}": value for name, value in params.items()}
    if "readonly" in changes:
        changes["readonly"] = changes.pop("readonly")  # the last, for it locks the others
    _set(link, changes)


def prepare_again(link: Link, call: Call) -> None:
    """Set on `link`, on which all else is set already, what is new with every statement."""
    if not call.tag:
        _set(link, _volatile(call))


def _volatile(call: Call) -> dict[str, bytes]:
    """Return the settings that are set for every statement, to what `call` says or to nothing.

    The first line of `log_comment` is our id of the statement, by which it is found again while it runs.
    """
    values = {name: call.settings.get(name, b"") for name in VOLATILE}
    values["log_comment"] = b"\n".join(filter(None, (call.query_id.encode(), values["log_comment"])))
    return values


def _set(link: Link, changes: Mapping[str, bytes]) -> None:
    link.execute(b"SET " + b", ".join(name.encode() + b"=" + quote(value) for name, value in changes.items()))
