"""Declared interfaces of contracts in JSON, and back."""

from typing import Final, Literal

from rpc.contract_interfaces import ReadableInterface, read_interface
from rpc.models import (
    ContractInterface,
    ContractMethod,
    ContractParameter,
    ContractRecord,
    ContractStorageItem,
)
from vm.contracts.abi import (
    EventType,
    Interface,
    Method,
    MethodKind,
    Parameter,
    StorageItem,
    StorageKind,
    Struct,
    UpgradeRule,
    encode_interface,
)

_METHOD_KINDS: Final[dict[MethodKind, Literal["init", "call", "view", "migrate"]]] = {
    MethodKind.INIT: "init",
    MethodKind.CALL: "call",
    MethodKind.VIEW: "view",
    MethodKind.MIGRATE: "migrate",
}
_STORAGE_KINDS: Final[dict[StorageKind, Literal["var", "map", "indexed_map"]]] = {
    StorageKind.VAR: "var",
    StorageKind.MAP: "map",
    StorageKind.INDEXED_MAP: "indexed_map",
}
_UPGRADE_RULES: Final[dict[UpgradeRule, Literal["never", "owner", "governance"]]] = {
    UpgradeRule.NEVER: "never",
    UpgradeRule.OWNER: "owner",
    UpgradeRule.GOVERNANCE: "governance",
}


def build_interface_view(interface: ReadableInterface) -> ContractInterface:
    """A declared interface in JSON."""
    declared = interface.declared
    return ContractInterface(
        name=declared.name,
        compiler=declared.compiler,
        source_hash=declared.source_hash,
        upgrade=_UPGRADE_RULES[declared.upgrade],
        structs=[ContractRecord(name=each.name, fields=_build_parameters(each.fields)) for each in declared.structs],
        methods=[
            ContractMethod(
                name=each.name,
                kind=_METHOD_KINDS[each.kind],
                is_payable=each.is_payable,
                is_reentrant=each.is_reentrant,
                parameters=_build_parameters(each.parameters),
                result=each.result or None,
            )
            for each in declared.methods
        ],
        events=[ContractRecord(name=each.name, fields=_build_parameters(each.fields)) for each in declared.events],
        storage=[
            ContractStorageItem(name=each.name, kind=_STORAGE_KINDS[each.kind], key=each.key or None, value=each.value)
            for each in declared.storage
        ],
    )


def read_interface_view(view: ContractInterface) -> ReadableInterface:
    """The interface that JSON declares; raises InvalidInterfaceError when it contradicts itself."""
    interface = Interface(
        name=view.name,
        compiler=view.compiler,
        source_hash=view.source_hash,
        upgrade=UpgradeRule[view.upgrade.upper()],
        structs=tuple(Struct(each.name, _read_parameters(each.fields)) for each in view.structs),
        methods=tuple(
            Method(
                each.name,
                MethodKind[each.kind.upper()],
                each.is_payable,
                each.is_reentrant,
                _read_parameters(each.parameters),
                each.result or "",
            )
            for each in view.methods
        ),
        events=tuple(EventType(each.name, _read_parameters(each.fields)) for each in view.events),
        storage=tuple(
            StorageItem(each.name, StorageKind[each.kind.upper()], each.key or "", each.value) for each in view.storage
        ),
    )
    return read_interface(encode_interface(interface))


def _build_parameters(parameters: tuple[Parameter, ...]) -> list[ContractParameter]:
    return [ContractParameter(name=each.name, type=each.type) for each in parameters]


def _read_parameters(parameters: list[ContractParameter]) -> tuple[Parameter, ...]:
    return tuple(Parameter(each.name, each.type) for each in parameters)
