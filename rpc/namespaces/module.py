"""module_: what the native modules offer, and their views."""

from ledger.reasons import Rejected
from rpc.arguments import ArgumentError, answer_to_json, arguments_from_json, describe_answer, describe_type
from rpc.errors import execution_failed, invalid_params, not_found
from rpc.models import ModuleDescription, ModuleParams, Modules, ModuleSummary, NoParams, ViewParams, ViewResult
from rpc.session import Session
from rpc.views import build_module_description
from vm.native.registry import MODULES, answer_view, get_module
from vm.native.rules import ModuleRule


def list_modules(_: Session, __: NoParams) -> Modules:
    """All native modules."""
    return Modules(modules=[ModuleSummary(name=each.name, summary=each.summary) for each in MODULES.values()])


def describe(_: Session, params: ModuleParams) -> ModuleDescription:
    """A module's calls, events and views with the types of their fields."""
    return build_module_description(_find_module(params.module))


def view(session: Session, params: ViewParams) -> ViewResult:
    """Ask a module a question that changes nothing."""
    module = _find_module(params.module)
    rule = next((rule for rule in module.views if rule.name == params.name), None)
    if rule is None:
        raise not_found(f"module {module.name} has no view of this name; see module_describe")
    network = session.backend.network
    fields = [(name, describe_type(kind)) for name, kind in rule.arguments]
    try:
        arguments = arguments_from_json(fields, params.args, network)
    except ArgumentError as error:
        raise invalid_params(f"args: {error}") from None
    with session.open_state(params.at) as state:
        try:
            answer = answer_view(state, state.moment, module.name, rule.name, arguments)
        except Rejected as failure:
            raise execution_failed(failure.number, 0, failure.message) from None
        value = answer_to_json(describe_answer(rule.answer), answer, network)
        return ViewResult(height=state.height, block_hash=state.block_hash, value=value)


def _find_module(name: str) -> ModuleRule:
    module = get_module(name)
    if module is None:
        raise not_found(f"there is no such module; there are {', '.join(MODULES)}")
    return module
