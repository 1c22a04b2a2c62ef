"""The one account of a local Telegram server: code, password, signed in or not."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import Any, Final

from telethon import password as srp
from telethon.tl import functions, types

from petdata.demo.servers.telegram_channels import StubUser
from petdata.demo.servers.telegram_objects import RequestFailed, user_object

GENERATOR: Final = 3
# Telegram's own, which Telethon takes as it is; any other it would try to factorise.
PRIME: Final = bytes.fromhex(
    "c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f"
    "48198a0aa7c14058229493d22530f4dbfa336f6e0ac925139543aed44cce7c37"
    "20fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64"
    "2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4"
    "a4a695811051907e162753b56b0f6b410dba74d8a84b2a14b3144e0ef1284754"
    "fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4"
    "e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f"
    "0d8115f635b105ee2e4e15d04b2454bf6f4fadf034b10403119cd8e3b92fcc5b"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Who signs in; made up, and not to be stored by anyone."""

    phone: str = "79000001122"
    code: str = "24680"
    password: str | None = None  # the second factor
    user_id: int = 7_000_001
    first_name: str = "Аделаида"
    last_name: str = "Вымышлова"

    @property
    def user(self) -> StubUser:
        return StubUser(self.user_id, self.first_name, self.last_name, phone=self.phone)


class Login:
    def __init__(self, account: Account, authorised: bool) -> None:
        self.account = account
        self.authorised = authorised
        self._code_hash: str | None = None
        self._password_is_due = False
        self._exponent = 0  # SRP's secret b

    def answer(self, request: Any) -> Any:
        """None: not a matter of login."""
        match request:
            case functions.auth.SendCodeRequest():
                return self._send_code(request)
            case functions.auth.SignInRequest():
                return self._sign_in(request)
            case functions.account.GetPasswordRequest():
                return self._password()
            case functions.auth.CheckPasswordRequest():
                return self._check_password(request.password)
            case functions.auth.LogOutRequest():
                self.authorised = False
                return types.auth.LoggedOut()
        return None

    def _send_code(self, request: Any) -> object:
        if _digits(request.phone_number) != _digits(self.account.phone):
            raise RequestFailed(400, "PHONE_NUMBER_INVALID")
        self._code_hash = os.urandom(9).hex()
        length = len(self.account.code)
        return types.auth.SentCode(types.auth.SentCodeTypeApp(length), self._code_hash)

    def _sign_in(self, request: Any) -> object:
        if self._code_hash is None or request.phone_code_hash != self._code_hash:
            raise RequestFailed(400, "PHONE_CODE_EXPIRED")
        if request.phone_code != self.account.code:
            raise RequestFailed(400, "PHONE_CODE_INVALID")
        if self.account.password is not None:
            self._password_is_due = True
            raise RequestFailed(401, "SESSION_PASSWORD_NEEDED")
        return self._authorise()

    def _password(self) -> object:
        if not (self.authorised or self._password_is_due):
            raise RequestFailed(401, "AUTH_KEY_UNREGISTERED")
        common = {
            "new_algo": types.PasswordKdfAlgoUnknown(),
            "new_secure_algo": types.SecurePasswordKdfAlgoUnknown(),
            "secure_random": os.urandom(32),
        }
        if self.account.password is None:
            return types.account.Password(**common)
        self._exponent = int.from_bytes(os.urandom(256))
        return types.account.Password(
            **common, has_password=True, current_algo=ALGORITHM, srp_B=self._public, srp_id=1
        )

    @property
    def _verifier(self) -> int:
        secret = srp.compute_hash(ALGORITHM, self.account.password)
        return pow(GENERATOR, int.from_bytes(secret), int.from_bytes(PRIME))

    @property
    def _public(self) -> bytes:
        """B = k v + g^b (RFC 5054, section 2.5.3)."""
        prime = int.from_bytes(PRIME)
        factor = int.from_bytes(_sha256(PRIME, srp.big_num_for_hash(GENERATOR)))
        public = (factor * self._verifier + pow(GENERATOR, self._exponent, prime)) % prime
        return public.to_bytes(256)

    def _check_password(self, proof: Any) -> object:
        """Whether the client came to the same shared secret."""
        if not self._password_is_due or not self._exponent:
            raise RequestFailed(400, "PASSWORD_HASH_INVALID")
        prime = int.from_bytes(PRIME)
        scrambler = int.from_bytes(_sha256(proof.A, self._public))
        base = int.from_bytes(proof.A) * pow(self._verifier, scrambler, prime)
        shared = _sha256(pow(base, self._exponent, prime).to_bytes(256))
        expected = _sha256(
            srp.xor(_sha256(PRIME), _sha256(srp.big_num_for_hash(GENERATOR))),
            _sha256(ALGORITHM.salt1),
            _sha256(ALGORITHM.salt2),
            proof.A,
            self._public,
            shared,
        )
        if expected != proof.M1:
            raise RequestFailed(400, "PASSWORD_HASH_INVALID")
        return self._authorise()

    def _authorise(self) -> object:
        self.authorised, self._password_is_due, self._code_hash = True, False, None
        return types.auth.Authorization(user_object(self.account.user, is_self=True))


ALGORITHM: Final = types.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow(
    salt1=b"first salt", salt2=b"second salt", g=GENERATOR, p=PRIME
)


def _sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _digits(phone: str) -> str:
    return re.sub(r"\D", "", phone)
