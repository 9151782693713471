import json
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.credentials.base64url import decode_base64url, encode_base64url
from identity.credentials.jwk import format_jwk, parse_jwk
from identity.credentials.jws import parse_jws, sign_jws
from identity.credentials.reasons import CredentialError, CredentialReason
from identity.credentials.sd_jwt import (
    ALWAYS_OPEN,
    CLOCK_SKEW_S,
    DIGESTS_MAX,
    DISCLOSURE_CHARACTERS_MAX,
    DISCLOSURES_MAX,
    SD_JWT_CHARACTERS_MAX,
    Disclosable,
    KeyBindingDemand,
    bind_sd_jwt,
    count_disclosable,
    issue_sd_jwt,
    list_disclosable_paths,
    present_sd_jwt,
    verify_sd_jwt,
)
from identity.keys import KeyType, PrivateKey
from identity.strict_json import JSON_DEPTH_MAX
from tests.builders import make_key
from tests.identity.credentials.scene import (
    CLAIMS,
    DEMAND,
    HOLDER_KEY,
    ISSUER_KEY,
    NOW_S,
    OPEN_CLAIMS,
    RFC9901,
    TOKEN_TYPE,
    edit,
    issue,
    make_salts,
    present,
    refuses,
    sign,
    to_text,
)

OPEN = {**OPEN_CLAIMS, "cnf": {"jwk": format_jwk(HOLDER_KEY.public_key)}}
HEADER = {"alg": "EdDSA", "typ": TOKEN_TYPE}
RFC_ISSUER = PrivateKey(KeyType.P256, decode_base64url(RFC9901["issuer_secret"]))


def verify(text, demand=DEMAND, now_s=NOW_S, key=ISSUER_KEY):
    return verify_sd_jwt(text, key.public_key, TOKEN_TYPE, now_s, demand)


def compute_digest(encoded):
    return encode_base64url(sha256(encoded.encode()).digest())


def assemble(payload, *disclosures, key=ISSUER_KEY):
    """A rightly signed SD-JWT with whatever payload and disclosures."""
    return "~".join([sign(HEADER, payload, key), *disclosures, ""])


def rebind(presentation, change=lambda proof: None, header=None, key=HOLDER_KEY):
    """The presentation with a proof that the holder has signed, changed before."""
    issuer_part = presentation.rpartition("~")[0] + "~"
    proof = {"iat": NOW_S, "aud": DEMAND.audience, "nonce": DEMAND.nonce, "sd_hash": compute_digest(issuer_part)}
    change(proof)
    return issuer_part + sign(header or {"alg": "ES256", "typ": "kb+jwt"}, proof, key)


# Official examples


@pytest.mark.parametrize("example", RFC9901["signed"], ids=lambda example: example["name"])
def test_the_official_examples_verify(example):
    demand = KeyBindingDemand(RFC9901["audience"], RFC9901["nonce"]) if example["is_bound"] else None
    claims = verify_sd_jwt(
        example["text"],
        parse_jwk(RFC9901["issuer_key"]),
        RFC9901["token_type"],
        RFC9901["key_binding_issued_s"],
        demand,
    )
    assert claims == example["claims"]


@pytest.mark.parametrize("example", RFC9901["unsigned"], ids=lambda example: example["name"])
def test_the_official_structures_verify(example):
    """The specification gives their payloads without a signature."""
    signed = sign_jws(example["payload"], RFC_ISSUER, TOKEN_TYPE, None)
    text = "~".join([signed, *example["disclosures"], ""])
    assert verify(text, None, key=RFC_ISSUER) == example["claims"]


def test_the_official_presentation_is_what_choosing_gives():
    issuance, presentation = (example["text"] for example in RFC9901["signed"][:2])
    chosen = [("family_name",), ("address",), ("given_name",), ("nationalities", 0)]
    expected = presentation.rpartition("~")[0].split("~")
    assert sorted(present_sd_jwt(issuance, chosen).split("~")[:-1]) == sorted(expected)


# Issue, choose, show


def test_everything_disclosed_is_everything_issued():
    expected = {**OPEN, "name": "Ada", "address": {"city": "Graz", "country": "AT"}, "classes": ["AM", "B", "C"]}
    assert verify(issue(), None) == expected


@pytest.mark.parametrize(
    ("paths", "disclosed"),
    [
        ([], {}),
        ([("name",)], {"name": "Ada"}),
        ([("address",)], {"address": {"country": "AT"}}),
        ([("address", "city")], {"address": {"country": "AT", "city": "Graz"}}),
        ([("classes", 2)], {"classes": ["AM", "C"]}),
        ([("classes", 1), ("name",)], {"classes": ["AM", "B"], "name": "Ada"}),
    ],
)
def test_what_is_chosen_is_what_the_verifier_sees(paths, disclosed):
    assert verify(present(*paths)) == {**OPEN, **disclosed}


def test_what_is_not_chosen_is_not_in_the_text():
    shown = present(("classes", 1))
    hidden = [part for part in issue().split("~")[1:-1] if part not in shown]
    assert [json.loads(decode_base64url(part))[1:] for part in hidden][:1] == [["name", "Ada"]]
    assert len(hidden) == 4
    assert "Ada" not in decode_base64url(shown.split(".")[1]).decode()


def test_the_holder_sees_what_can_be_chosen():
    expected = {("name",), ("address",), ("address", "city"), ("classes", 1), ("classes", 2)}
    assert set(list_disclosable_paths(issue())) == expected


def test_what_cannot_be_chosen_is_refused():
    for path in [("iss",), ("classes", 0), ("nothing",), ()]:
        with refuses(CredentialReason.BAD_DISCLOSURE):
            present_sd_jwt(issue(), [path])


def test_digests_are_in_an_order_that_tells_nothing():
    claims = {str(index): Disclosable(index) for index in range(20)}
    payload = parse_jws(issue(claims, 20).partition("~")[0]).payload
    assert payload["_sd"] == sorted(payload["_sd"])
    assert len(payload["_sd"]) == 20
    assert payload["_sd_alg"] == "sha-256"


def test_the_same_arguments_give_the_same_text():
    assert issue() == issue()


@pytest.mark.parametrize("issuer_type", [KeyType.ED25519, KeyType.P256])
@pytest.mark.parametrize("holder_type", [KeyType.ED25519, KeyType.P256])
def test_both_kinds_of_keys_issue_and_show(issuer_type, holder_type):
    issuer, holder = make_key("issuer", issuer_type), make_key("holder", holder_type)
    text = issue_sd_jwt({"name": Disclosable("Ada")}, make_salts(1), issuer, holder.public_key, TOKEN_TYPE)
    shown = bind_sd_jwt(present_sd_jwt(text, [("name",)]), holder, DEMAND.audience, DEMAND.nonce, NOW_S)
    assert verify(shown, key=issuer) == {"name": "Ada", "cnf": {"jwk": format_jwk(holder.public_key)}}


def test_without_a_holder_anyone_may_show_it():
    text = issue_sd_jwt({"name": "Ada"}, [], ISSUER_KEY, None, TOKEN_TYPE)
    assert verify(text, None) == {"name": "Ada"}
    with refuses(CredentialReason.BAD_CLAIM, "no holder's key"):
        bind_sd_jwt(text, HOLDER_KEY, DEMAND.audience, DEMAND.nonce, NOW_S)
    with refuses(CredentialReason.BAD_CLAIM, "no holder's key"):
        verify(rebind(text))


# What is not issued


@pytest.mark.parametrize(
    "salts", [make_salts(4), make_salts(6), [*make_salts(4), make_salts(1)[0]], [*make_salts(4), b"x" * 15]]
)
def test_each_disclosure_has_a_salt_of_its_own(salts):
    with refuses(CredentialReason.BAD_CLAIM, "salt"):
        issue_sd_jwt(CLAIMS, salts, ISSUER_KEY, None, TOKEN_TYPE)


@pytest.mark.parametrize("name", sorted(ALWAYS_OPEN - {"cnf"}))
def test_what_decides_whether_it_holds_is_never_hidden(name):
    with refuses(CredentialReason.BAD_CLAIM, "is never hidden"):
        issue({name: Disclosable(1)}, 1)
    assert verify(issue({"deeper": {name: Disclosable(1)}}, 1), None)["deeper"] == {name: 1}


@pytest.mark.parametrize("name", ["_sd", "_sd_alg", "..."])
def test_reserved_names_are_not_issued(name):
    for claims, salts in [({name: 1}, 0), ({"a": [{name: 1}]}, 0), ({name: Disclosable(1)}, 1)]:
        with refuses(CredentialReason.BAD_CLAIM, "no claim is called"):
            issue(claims, salts)


@pytest.mark.parametrize("claims", [{"a": Disclosable(Disclosable(1))}, {"cnf": {}}])
def test_claims_that_make_no_sense_are_not_issued(claims):
    with refuses(CredentialReason.BAD_CLAIM):
        issue(claims, count_disclosable(claims))


@pytest.mark.parametrize("value", [1.5, b"", "\ud800", 2**53])
def test_what_is_no_json_is_not_issued(value):
    for claims, salts in [({"a": value}, 0), ({"a": Disclosable(value)}, 1)]:
        with refuses(CredentialReason.MALFORMED):
            issue(claims, salts)


def test_more_than_the_limits_is_not_issued():
    many = {"a": [Disclosable(index) for index in range(DISCLOSURES_MAX + 1)]}
    with refuses(CredentialReason.LIMIT_EXCEEDED, "256 disclosures"):
        issue(many, DISCLOSURES_MAX + 1)
    with refuses(CredentialReason.LIMIT_EXCEEDED, "16384 characters"):
        issue({"a": Disclosable("x" * DISCLOSURE_CHARACTERS_MAX)}, 1)
    most = {"a": many["a"][:-1]}
    assert verify(issue(most, DISCLOSURES_MAX), None)["a"] == list(range(DISCLOSURES_MAX))


# Tampering


@pytest.mark.parametrize("index", range(6))
def test_every_part_counts(index):
    """One bit of each part in turn: signed object, three disclosures (one within another), proof, and its signature."""
    parts = present(("address", "city"), ("name",)).split("~")
    parts = [*parts[:-1], *parts[-1].rsplit(".", 1)]
    part = parts[index]
    middle = len(part) // 2
    parts[index] = part[:middle] + ("A" if part[middle] != "A" else "B") + part[middle + 1 :]
    text = "~".join(parts[:-1]) + "." + parts[-1]
    with pytest.raises(CredentialError):
        verify(text)


@settings(max_examples=200)
@given(st.data())
def test_no_changed_character_goes_unseen(data):
    text = present(("address", "city"), ("classes", 1))
    index = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.sampled_from("AZaz09-_.~= \n{"))
    if text[index] != character:
        with pytest.raises(CredentialError):
            verify(text[:index] + character + text[index + 1 :])


def test_another_value_in_a_disclosure_is_refused():
    signed, name, *rest = issue().split("~")
    changed = edit(name, lambda content: content.__setitem__(2, "Eve"))
    with refuses(CredentialReason.BAD_DISCLOSURE, "none of those"):
        verify("~".join([signed, changed, *rest]), None)


def test_a_disclosure_that_nobody_signed_is_refused():
    with refuses(CredentialReason.BAD_DISCLOSURE, "none of those"):
        verify(issue() + to_text(["salt", "role", "admin"]) + "~", None)


def test_a_disclosure_without_the_one_around_it_is_refused():
    signed, *disclosures, _ = issue().split("~")
    city = next(each for each in disclosures if b'"city"' in decode_base64url(each))
    with refuses(CredentialReason.BAD_DISCLOSURE, "none of those"):
        verify(f"{signed}~{city}~", None)


def test_a_disclosure_of_another_credential_is_refused():
    other = issue({"name": Disclosable("Eve")}, 1)
    signed, *_ = issue().split("~")
    with refuses(CredentialReason.BAD_DISCLOSURE, "none of those"):
        verify(f"{signed}~{other.split('~')[1]}~", None)


def test_the_same_disclosure_twice_is_refused():
    signed, first, *rest = issue().split("~")
    with refuses(CredentialReason.BAD_DISCLOSURE, "stands twice"):
        verify("~".join([signed, first, first, *rest]), None)


def test_another_issuer_is_refused():
    with refuses(CredentialReason.BAD_SIGNATURE):
        verify(issue(), None, key=make_key("somebody"))


def test_another_type_of_token_is_refused():
    with refuses(CredentialReason.WRONG_TYPE):
        verify_sd_jwt(issue(), ISSUER_KEY.public_key, "dc+sd-jwt", NOW_S, None)


def test_a_proof_is_no_credential():
    proof = sign({"alg": "EdDSA", "typ": "kb+jwt"}, {"iss": "a"}) + "~"
    with refuses(CredentialReason.WRONG_TYPE):
        verify(proof, None)


# Digests and disclosures (RFC 9901 section 7.1)

CLAIM = to_text(["salt", "a", 1])
ELEMENT = to_text(["salt", 1])


def test_digests_that_stand_for_nothing_are_dropped():
    decoy = compute_digest("decoy")
    payload = {"_sd": [decoy], "a": [{"...": compute_digest("other")}, 1], "b": {"_sd": []}}
    assert verify(assemble(payload), None) == {"a": [1], "b": {}}


@pytest.mark.parametrize(
    ("payload", "disclosures"),
    [
        ({"_sd": [compute_digest(ELEMENT)]}, [ELEMENT]),
        ({"a": [{"...": compute_digest(CLAIM)}]}, [CLAIM]),
        ({"a": 0, "_sd": [compute_digest(CLAIM)]}, [CLAIM]),
        ({"_sd": [compute_digest(CLAIM)] * 2}, [CLAIM]),
        ({"_sd": ["x", "x"]}, []),
        ({"_sd": [compute_digest(CLAIM)], "b": {"_sd": [compute_digest(CLAIM)]}}, [CLAIM]),
        ({"_sd": [compute_digest(to_text(["salt", "exp", 1]))]}, [to_text(["salt", "exp", 1])]),
        ({"_sd": [compute_digest(to_text(["salt", "_sd", []]))]}, [to_text(["salt", "_sd", []])]),
        ({"_sd": [compute_digest(to_text(["salt", "...", 1]))]}, [to_text(["salt", "...", 1])]),
        ({}, [to_text(["salt"])]),
        ({}, [to_text(["salt", "a", 1, 2])]),
        ({}, [to_text([1, "a", 1])]),
        ({}, [to_text(["salt", 2, 1])]),
        ({}, [to_text({"salt": 1})]),
    ],
    ids=range(14),
)
def test_a_disclosure_stands_where_it_may(payload, disclosures):
    with refuses(CredentialReason.BAD_DISCLOSURE):
        verify(assemble(payload, *disclosures), None)


@pytest.mark.parametrize(
    "payload",
    [
        {"_sd": {}},
        {"_sd": "x"},
        {"_sd": [1]},
        {"_sd": [["x"]]},
        {"a": {"_sd": None}},
        {"a": [{"...": 1}]},
        {"a": [{"...": "x", "b": 1}]},
        {"...": "x"},
        {"a": {"_sd_alg": "sha-256"}},
    ],
)
def test_digests_have_their_form(payload):
    with refuses(CredentialReason.MALFORMED):
        verify(assemble(payload), None)


@pytest.mark.parametrize("algorithm", ["sha-512", "md5", "SHA-256", None, 1])
def test_digests_are_sha_256(algorithm):
    with refuses(CredentialReason.ALGORITHM_REFUSED):
        verify(assemble({"_sd_alg": algorithm}), None)


def test_disclosures_are_read_strictly():
    for encoded in [encode_base64url(b'["s","a",{"b":1,"b":2}]'), encode_base64url(b'["s","a",NaN]'), "", "x y", "AB"]:
        with refuses(CredentialReason.MALFORMED):
            verify(assemble({}, encoded), None)


def test_digests_have_a_number():
    with refuses(CredentialReason.LIMIT_EXCEEDED, "1024 digests"):
        verify(assemble({"a": [{"...": str(index)} for index in range(DIGESTS_MAX + 1)]}), None)


def test_disclosures_within_each_other_have_a_depth():
    def chain(length):
        disclosures, value = [], 1
        for _ in range(length):
            disclosures.append(to_text(["salt", "a", value]))
            value = {"_sd": [compute_digest(disclosures[-1])]}
        return assemble(value, *disclosures)

    assert str(verify(chain(JSON_DEPTH_MAX), None)).count("a") == JSON_DEPTH_MAX
    with refuses(CredentialReason.LIMIT_EXCEEDED, "deep"):
        verify(chain(JSON_DEPTH_MAX + 1), None)


def test_sizes_have_limits():
    with refuses(CredentialReason.LIMIT_EXCEEDED, "characters"):
        verify("x" * (SD_JWT_CHARACTERS_MAX + 1))
    with refuses(CredentialReason.LIMIT_EXCEEDED, "256 disclosures"):
        verify(assemble({}) + "x~" * (DISCLOSURES_MAX + 1))
    with refuses(CredentialReason.LIMIT_EXCEEDED, "16384 characters"):
        verify(assemble({}, "A" * (DISCLOSURE_CHARACTERS_MAX + 1)))


@pytest.mark.parametrize(
    "text",
    ["", "~", "~~", "x", issue().rstrip("~").partition("~")[0], "é" + issue(), issue() + "\ud800~", issue() + "\n"],
)
def test_what_has_another_form_is_refused(text):
    with refuses(CredentialReason.MALFORMED):
        verify(text)


# Time


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW_S - CLOCK_SKEW_S}, CredentialReason.EXPIRED),
        ({"nbf": NOW_S + CLOCK_SKEW_S + 1}, CredentialReason.NOT_YET_VALID),
        ({"iat": NOW_S + CLOCK_SKEW_S + 1}, CredentialReason.NOT_YET_VALID),
        ({"exp": 0}, CredentialReason.EXPIRED),
        ({"exp": "tomorrow"}, CredentialReason.BAD_CLAIM),
        ({"exp": None}, CredentialReason.BAD_CLAIM),
        ({"exp": True}, CredentialReason.BAD_CLAIM),
        ({"nbf": -1}, CredentialReason.BAD_CLAIM),
    ],
)
def test_a_credential_outside_its_time_is_refused(claims, reason):
    with refuses(reason):
        verify(issue(claims, 0), None)


def test_clocks_may_differ_a_little():
    claims = {"exp": NOW_S - CLOCK_SKEW_S + 1, "nbf": NOW_S + CLOCK_SKEW_S, "iat": NOW_S + CLOCK_SKEW_S}
    assert verify(issue(claims, 0), None) == {**claims, "cnf": OPEN["cnf"]}


# The holder's proof (RFC 9901 section 7.3)


def test_a_proof_that_is_asked_for_must_be_there():
    with refuses(CredentialReason.NO_KEY_BINDING):
        verify(issue())


def test_a_proof_that_is_not_asked_for_is_refused():
    with refuses(CredentialReason.BAD_KEY_BINDING, "not asked for"):
        verify(present(), None)


@pytest.mark.parametrize(
    ("demand", "why"),
    [
        (KeyBindingDemand("https://other.example", DEMAND.nonce), "another verifier"),
        (KeyBindingDemand(DEMAND.audience, "nonce 2"), "another question"),
    ],
)
def test_a_proof_for_somebody_else_is_refused(demand, why):
    with refuses(CredentialReason.BAD_KEY_BINDING, why):
        verify(present(), demand)


def test_a_proof_is_for_what_is_shown():
    proof = present(("name",)).rpartition("~")[2]
    for stolen in (present(), present(("name",), ("classes", 1)), issue()):
        with refuses(CredentialReason.BAD_KEY_BINDING, "another presentation"):
            verify(stolen.rpartition("~")[0] + "~" + proof)


def test_disclosures_in_another_order_are_another_presentation():
    signed, first, second, proof = present(("classes", 1), ("classes", 2)).split("~")
    with refuses(CredentialReason.BAD_KEY_BINDING, "another presentation"):
        verify("~".join([signed, second, first, proof]))


@pytest.mark.parametrize("age_s", [-CLOCK_SKEW_S - 1, DEMAND.age_s_max + CLOCK_SKEW_S + 1])
def test_a_proof_has_an_age(age_s):
    with refuses(CredentialReason.BAD_KEY_BINDING, "too old"):
        verify(rebind(present(), lambda proof: proof.update(iat=NOW_S - age_s)))


@pytest.mark.parametrize("age_s", [-CLOCK_SKEW_S, 0, DEMAND.age_s_max + CLOCK_SKEW_S])
def test_a_proof_within_its_age_is_accepted(age_s):
    assert verify(rebind(present(), lambda proof: proof.update(iat=NOW_S - age_s))) == OPEN


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: proof.pop("iat"),
        lambda proof: proof.pop("aud"),
        lambda proof: proof.pop("nonce"),
        lambda proof: proof.pop("sd_hash"),
        lambda proof: proof.update(iat=True),
        lambda proof: proof.update(iat=str(NOW_S)),
        lambda proof: proof.update(aud=[DEMAND.audience]),
        lambda proof: proof.update(nonce=None),
        lambda proof: proof.update(sd_hash=None),
        lambda proof: proof.update(more=1),
    ],
    ids=range(10),
)
def test_a_proof_has_its_form(change):
    with refuses(CredentialReason.BAD_KEY_BINDING, "nothing else"):
        verify(rebind(present(), change))


def test_a_proof_by_another_key_is_refused():
    with refuses(CredentialReason.BAD_SIGNATURE):
        verify(rebind(present(), key=make_key("thief", KeyType.P256)))
    with refuses(CredentialReason.ALGORITHM_REFUSED):
        verify(rebind(present(), header={"alg": "EdDSA", "typ": "kb+jwt"}, key=make_key("thief")))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none", "typ": "kb+jwt"}, CredentialReason.ALGORITHM_REFUSED),
        ({"alg": "ES256", "typ": "JWT"}, CredentialReason.WRONG_TYPE),
        ({"alg": "ES256"}, CredentialReason.MALFORMED),
    ],
)
def test_a_proof_has_the_header_of_one(header, reason):
    with refuses(reason):
        verify(rebind(present(), header=header))


@pytest.mark.parametrize("cnf", [None, {}, {"kid": "a"}, {"jwk": {}, "more": 1}])
def test_a_credential_names_the_key_of_its_holder(cnf):
    with refuses(CredentialReason.BAD_CLAIM, "no holder's key"):
        verify(rebind(assemble({"cnf": cnf})))


def test_a_holder_with_another_key_cannot_sign():
    with refuses(CredentialReason.BAD_KEY_BINDING, "to another key"):
        bind_sd_jwt(issue(), make_key("thief"), DEMAND.audience, DEMAND.nonce, NOW_S)


def test_a_presentation_is_signed_once():
    with refuses(CredentialReason.BAD_KEY_BINDING, "already"):
        bind_sd_jwt(present(), HOLDER_KEY, DEMAND.audience, DEMAND.nonce, NOW_S)
    with refuses(CredentialReason.BAD_KEY_BINDING, "already"):
        present_sd_jwt(present(), [])


@pytest.mark.parametrize(("audience", "nonce"), [("", "n"), ("a", ""), ("a" * 513, "n"), ("a", "n" * 513)])
def test_a_question_is_asked(audience, nonce):
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        bind_sd_jwt(issue(), HOLDER_KEY, audience, nonce, NOW_S)
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        verify(present(), KeyBindingDemand(audience, nonce))


# Any claims

NAMES = st.text(max_size=4).filter(lambda name: name not in ("_sd", "_sd_alg", "..."))
LEAVES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=4)


def maybe_hidden(values):
    return st.tuples(values, st.booleans()).map(lambda pair: Disclosable(pair[0]) if pair[1] else pair[0])


TREES = st.recursive(
    LEAVES,
    lambda each: st.lists(maybe_hidden(each), max_size=4) | st.dictionaries(NAMES, maybe_hidden(each), max_size=4),
    max_leaves=12,
)
CLAIM_TREES = st.dictionaries(
    NAMES.filter(lambda name: name not in ALWAYS_OPEN | {"iat"}), maybe_hidden(TREES), max_size=5
)


def expect(claim, path, chosen):
    """What a verifier sees of a claim, written down without any digest."""
    if isinstance(claim, dict):
        return {
            name: expect(each.value if isinstance(each, Disclosable) else each, (*path, name), chosen)
            for name, each in claim.items()
            if not isinstance(each, Disclosable) or is_shown((*path, name), chosen)
        }
    if isinstance(claim, list):
        return [
            expect(each.value if isinstance(each, Disclosable) else each, (*path, index), chosen)
            for index, each in enumerate(claim)
            if not isinstance(each, Disclosable) or is_shown((*path, index), chosen)
        ]
    return claim


def is_shown(path, chosen):
    return any(each[: len(path)] == path for each in chosen)


@settings(max_examples=150, deadline=None)
@given(CLAIM_TREES, st.data())
def test_the_verifier_sees_exactly_what_was_chosen_of_any_claims(claims, data):
    text = issue(claims, count_disclosable(claims))
    paths = list_disclosable_paths(text)
    assert len(paths) == count_disclosable(claims)
    chosen = data.draw(st.lists(st.sampled_from(paths), unique=True)) if paths else []
    shown = bind_sd_jwt(present_sd_jwt(text, chosen), HOLDER_KEY, DEMAND.audience, DEMAND.nonce, NOW_S)
    assert verify(shown) == {**expect(claims, (), chosen), "cnf": OPEN["cnf"]}
