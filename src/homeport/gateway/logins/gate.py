"""Who may pass a rule that lets clients log in, and how they log in.

Source: Application Load Balancer guide, "Authenticate users" and "Troubleshoot": 401 for who is refused,
late or brings what is not ours, 500 where the provider cannot be reached or says too much, 561 where it
answers with an error.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from weakref import WeakValueDictionary

import jwt
import msgspec

from homeport.core.clock import Clock
from homeport.core.ids import Ids, token
from homeport.core.log import get_logger
from homeport.dataplane.answers import PROVIDER_REFUSED
from homeport.dataplane.logins import CALLBACK, HEADERS, Asked, guards
from homeport.dataplane.model import Balancer
from homeport.dataplane.rules import AuthenticateOidc, UnauthenticatedRequest
from homeport.gateway.logins import sealed
from homeport.gateway.logins.model import (
    Answered,
    Begun,
    ClientSecrets,
    Decision,
    Passed,
    ProviderAwayError,
    ProviderRefusedError,
    Providers,
    Request,
    Session,
    Tokens,
)
from homeport.gateway.logins.signer import GOOD_SECONDS, Signer
from homeport.store.vault import Vault, VaultError

log = get_logger(__name__)

LOGIN_SECONDS = 900
"""A login must be complete after 15 minutes."""
SAID_BYTES_MAX = 11 << 10
"""Of claims and access token together."""
RENEWED_MAX = 256
CLOCKS_APART_SECONDS = 60
_NONCE = re.compile(r"[A-Za-z0-9]{32}")


class RefusedLoginError(Exception):
    """A login that fails, with what the client is answered."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Gate:
    """Decides about requests. Nothing is kept: what it needs to know, clients carry sealed."""

    def __init__(
        self,
        clock: Clock,
        ids: Ids,
        vault: Vault,
        *,
        secrets: ClientSecrets,
        providers: Providers,
        signer: Signer,
    ) -> None:
        self._clock, self._ids = clock, ids
        self._sealer = sealed.Sealer(vault)
        self._secrets, self._providers = secrets, providers
        self.signer = signer
        self._guards: dict[Asked, AuthenticateOidc] = {}
        self._renewed: dict[str, Session | None] = {}
        """By the value that a client brought: for its requests that come before it has the new one."""
        self._renewing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def serve(self, balancers: Iterable[Balancer]) -> None:
        """These are the rules from now on."""
        self._guards = {asked: guard for one in balancers for asked, guard in guards(one).items()}

    async def check(self, request: Request, asked: Asked) -> Decision:
        """What becomes of a request that fell to a rule."""
        if not asked.rule_id:
            return await self._come_back(request, asked)
        guard = self._guards.get(asked)
        if guard is None:
            return Answered(status=503)
        held = sealed.read_cookies(request.cookie)
        value = sealed.joined(held, guard.session_cookie_name)
        session = self._sealer.open_session(value, asked.balancer_id, guard) if value else None
        now = self._now()
        if session is not None and session.ends > now:
            if not _is_stale(session, now):
                return self._pass(session, asked, guard)
            renewed = await self._renew(value, session, guard)
            if renewed is not None:
                fresh = self._sealer.session(renewed, asked.balancer_id, guard)
                cookies = sealed.spread(guard.session_cookie_name, fresh, renewed.ends, held)
                return self._pass(renewed, asked, guard, cookies)
        match guard.unauthenticated:
            case UnauthenticatedRequest.ALLOW:
                return Passed()
            case UnauthenticatedRequest.DENY:
                return Answered(status=401)
            case UnauthenticatedRequest.AUTHENTICATE:
                return self._send_away(request, asked, guard, held)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _pass(
        self, session: Session, asked: Asked, guard: AuthenticateOidc, cookies: tuple[str, ...] = ()
    ) -> Passed:
        data = self.signer.token(
            session.claims,
            signer=f"{guard.secret_id.partition(':listener-rule/')[0]}:loadbalancer/{asked.balancer_id}",
            issuer=guard.issuer,
            client_id=guard.client_id,
            ends=int(self._now()) + GOOD_SECONDS,
        )
        said = (session.access_token, session.claims["sub"], data)
        return Passed(headers=tuple(zip(HEADERS, said, strict=True)), cookies=cookies)

    # To the provider

    def _send_away(
        self, request: Request, asked: Asked, guard: AuthenticateOidc, held: dict[str, str]
    ) -> Answered:
        nonce = held.get(sealed.NONCE, "")  # two tabs may log in at once
        if not _NONCE.fullmatch(nonce):
            nonce = token(self._ids, 32)
        begun = Begun(
            listener_id=asked.listener_id,
            rule_id=asked.rule_id,
            host=request.host,
            path=request.path,
            nonce=nonce,
            ends=self._now() + LOGIN_SECONDS,
        )
        query = {
            **guard.extra_parameters,
            "response_type": "code",
            "client_id": guard.client_id,
            "redirect_uri": f"https://{request.host}{CALLBACK}",
            "scope": guard.scope,
            "state": self._sealer.begun(begun, asked.balancer_id),
        }
        to = guard.authorization_endpoint
        joint = "&" if urlsplit(to).query else "?"
        cookies = (sealed.nonce_cookie(nonce, LOGIN_SECONDS),)
        return Answered(status=302, location=f"{to}{joint}{urlencode(query)}", cookies=cookies)

    # Back from it

    async def _come_back(self, request: Request, asked: Asked) -> Answered:
        try:
            return await self._finish(request, asked)
        except RefusedLoginError as refusal:
            log.info("login.refused", balancer=asked.balancer_id, status=refusal.status, why=str(refusal))
            status = PROVIDER_REFUSED if refusal.status == 561 else refusal.status
            return Answered(status=status)

    async def _finish(self, request: Request, asked: Asked) -> Answered:
        query = parse_qs(urlsplit(request.path).query)
        held = sealed.read_cookies(request.cookie)
        begun = self._sealer.open_begun(query.get("state", [""])[0], asked.balancer_id)
        if begun is None or begun.listener_id != asked.listener_id:
            raise RefusedLoginError(401, "its state is none of this listener's")
        if begun.ends <= self._now():
            raise RefusedLoginError(401, "it came too late")
        if not hmac.compare_digest(begun.nonce.encode(), held.get(sealed.NONCE, "").encode()):
            raise RefusedLoginError(401, "another browser began it")
        guard = self._guards.get(_rule_of(asked, begun))
        if guard is None:
            raise RefusedLoginError(401, "the rule is not there any more")
        if error := query.get("error", [""])[0]:
            raise RefusedLoginError(
                401 if error == "access_denied" else 561, "the provider says that it failed"
            )
        if not (code := query.get("code", [""])[0]):
            raise RefusedLoginError(400, "it brings no code")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"https://{begun.host}{CALLBACK}",
        }
        session = await self._log_in(guard, form)
        value = self._sealer.session(session, asked.balancer_id, guard)
        cookies = sealed.spread(guard.session_cookie_name, value, session.ends, held)
        return Answered(status=302, location=f"https://{begun.host}{begun.path}", cookies=cookies)

    async def _log_in(self, guard: AuthenticateOidc, form: dict[str, str]) -> Session:
        try:
            tokens = await self._tokens(guard, form)
            if not tokens.id_token:
                raise RefusedLoginError(401, "the provider gives no ID token for this scope")
            subject = self._subject(guard, tokens.id_token)
            ends = self._now() + guard.session_timeout_seconds
            session = await self._session(guard, tokens, ends)
        except ProviderRefusedError as error:
            raise RefusedLoginError(561, f"the provider: {error}") from None
        except ProviderAwayError as error:
            raise RefusedLoginError(500, f"the provider cannot be asked: {error}") from None
        if session.claims["sub"] != subject:
            raise RefusedLoginError(561, "the provider's user info is about another user")
        return session

    async def _tokens(self, guard: AuthenticateOidc, form: dict[str, str]) -> Tokens:
        try:
            secret = await self._secrets.find(guard.secret_id)
        except VaultError:
            secret = None
        if secret is None:
            raise RefusedLoginError(500, "the client's secret is not there, or does not open")
        return await self._providers.tokens(guard.token_endpoint, guard.client_id, secret, form)

    def _subject(self, guard: AuthenticateOidc, id_token: str) -> str:
        """Whom the ID token is about. It came over TLS from the issuer itself: that stands for its signature.

        Source: OpenID Connect Core, section 3.1.3.7.
        """
        try:
            said = jwt.decode(id_token, options={"verify_signature": False})
        except jwt.PyJWTError:
            raise ProviderRefusedError("its ID token is not one") from None
        audience, ends = said.get("aud"), said.get("exp")
        known = guard.client_id in (audience if isinstance(audience, list) else [audience])
        if said.get("iss") != guard.issuer or not known:
            raise ProviderRefusedError("its ID token is another issuer's or another client's")
        if not isinstance(ends, int | float) or ends + CLOCKS_APART_SECONDS <= self._now():
            raise ProviderRefusedError("its ID token is over")
        return str(said.get("sub", ""))

    async def _session(self, guard: AuthenticateOidc, tokens: Tokens, ends: float) -> Session:
        if not _fits(tokens.access_token):
            raise ProviderRefusedError("its access token fits into no header")
        claims: dict[str, Any] = await self._providers.claims(guard.user_info_endpoint, tokens.access_token)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not _fits(subject):
            raise ProviderRefusedError("its user has no name that fits into a header")
        if len(msgspec.json.encode(claims)) + len(tokens.access_token) > SAID_BYTES_MAX:
            raise RefusedLoginError(500, "claims and access token are larger than 11 KB")
        return Session(
            claims=claims,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            token_ends=self._now() + tokens.seconds if tokens.seconds else 0,
            ends=ends,
        )

    async def _renew(self, value: str, session: Session, guard: AuthenticateOidc) -> Session | None:
        """The session with a new access token and claims; `None`: it is over.

        A refresh token may be good once: of a client's requests at the same time one asks, for all.
        """
        async with self._renewing.setdefault(value, asyncio.Lock()):
            found = self._renewed.get(value, session)
            if found is not None and _is_stale(found, self._now()):
                found = await self._ask_anew(found, guard)
                self._renewed.pop(value, None)
                while len(self._renewed) >= RENEWED_MAX:
                    del self._renewed[next(iter(self._renewed))]
                self._renewed[value] = found
        return found

    async def _ask_anew(self, session: Session, guard: AuthenticateOidc) -> Session | None:
        form = {"grant_type": "refresh_token", "refresh_token": session.refresh_token}
        try:
            tokens = await self._tokens(guard, form)
            kept = msgspec.structs.replace(
                tokens, refresh_token=tokens.refresh_token or session.refresh_token
            )
            renewed = await self._session(guard, kept, session.ends)
        except (ProviderRefusedError, ProviderAwayError, RefusedLoginError) as error:
            log.info("login.not_renewed", issuer=guard.issuer, why=str(error))
            return None
        return renewed if renewed.claims["sub"] == session.claims["sub"] else None


def _rule_of(asked: Asked, begun: Begun) -> Asked:
    """The rule that the login was begun for."""
    return Asked(balancer_id=asked.balancer_id, listener_id=begun.listener_id, rule_id=begun.rule_id)


def _is_stale(session: Session, now: float) -> bool:
    return bool(session.refresh_token) and 0 < session.token_ends <= now


def _fits(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable()
