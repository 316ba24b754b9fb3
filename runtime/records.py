"""Frozen records that cost little memory: what ``dataclasses`` gives, without generated code.

``@dataclass`` writes source for every class and compiles it when a program starts, which takes
14 KB of memory per class and 80 KB for the module. Here all records share the same few functions.
Type checkers are told that it is `dataclasses.dataclass`, and ``dataclasses.replace``, ``asdict``
and ``fields`` work on records: what these need is made when they first ask for it.

Not supported, and refused: a record that inherits from another one. See ``docs/decisions/0011``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["field", "record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import field
else:
    _MISSING = object()

    class _Factory:
        """The default of a field that is made anew for every record."""

        def __init__(self, make):
            self.make = make

    def field(*, default_factory):
        """As `dataclasses.field`, of which records need only this."""
        return _Factory(default_factory)

    def record(*, frozen, eq=True):
        """As `dataclasses.dataclass`; *frozen* must be True, so that it is read where it is used.

        Raises:
            TypeError: the class inherits from a record, or a field without a default follows one.
        """
        if not frozen:
            raise TypeError("records are frozen: use dataclasses.dataclass for one that is not")
        return _complete_with_eq if eq else _complete

    def _complete(cls):
        if hasattr(cls, "_record_fields"):
            raise TypeError(f"{cls.__name__} inherits from a record, which is not supported")
        fields = {name: cls.__dict__.get(name, _MISSING) for name in cls.__annotations__}
        given = [default is not _MISSING for default in fields.values()]
        if given != sorted(given):
            raise TypeError(f"{cls.__name__}: a field without a default follows one with it")
        for name, default in fields.items():
            if isinstance(default, _Factory):
                delattr(cls, name)
        cls._record_fields = fields  # name → default
        cls.__dataclass_fields__ = _FIELDS
        cls.__init__, cls.__repr__ = _init, _repr
        cls.__setattr__, cls.__delattr__ = _refuse_to_set, _refuse_to_delete
        return cls

    def _complete_with_eq(cls):
        cls = _complete(cls)
        cls.__eq__, cls.__hash__ = _eq, _hash
        return cls

    class _Fields:
        """What `dataclasses` looks for in a class, made on the first look."""

        def __get__(self, instance, owner):
            import dataclasses

            owner = next(base for base in owner.__mro__ if "_record_fields" in base.__dict__)
            entries = []
            for name, default in owner._record_fields.items():
                if isinstance(default, _Factory):
                    entry = dataclasses.field(default_factory=default.make)
                else:
                    kept = dataclasses.MISSING if default is _MISSING else default
                    entry = dataclasses.field(default=kept)
                entries.append((name, owner.__annotations__[name], entry))
            made = dataclasses.make_dataclass(owner.__name__, entries).__dataclass_fields__
            owner.__dataclass_fields__ = made
            return made

    _FIELDS = _Fields()

    def _init(self, *values, **named):
        fields = self._record_fields
        if len(values) > len(fields):
            raise TypeError(f"{type(self).__name__} has {len(fields)} fields, not {len(values)}")
        given = dict(zip(fields, values, strict=False))
        for name in named:
            if name in given or name not in fields:
                why = "is given twice" if name in given else "is no field"
                raise TypeError(f"{type(self).__name__}: '{name}' {why}")
        given.update(named)
        for name, default in fields.items():
            value = given.get(name, default)
            if value is _MISSING:
                raise TypeError(f"{type(self).__name__}: '{name}' is missing")
            if isinstance(value, _Factory):
                value = value.make()
            object.__setattr__(self, name, value)
        if hasattr(self, "__post_init__"):
            self.__post_init__()

    def _repr(self):
        pairs = (f"{name}={getattr(self, name)!r}" for name in self._record_fields)
        return f"{type(self).__qualname__}({', '.join(pairs)})"

    def _values(self):
        return tuple(getattr(self, name) for name in self._record_fields)

    def _eq(self, other):
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def _hash(self):
        return hash(_values(self))

    def _refuse_to_set(self, name, value):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_to_delete(self, name):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")
