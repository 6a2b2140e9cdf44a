"""Content-addressed files for kernels and derivations.

A kernel's file is named by the SHA-256 of its whole text, so an edited formula is another file and nothing is ever
stale. The folder is `ODEOPT_CACHE_DIR` or the user's cache folder, one below it for each Python, numba, llvmlite and
CPU. A file holds the text and its machine code, which is used only if the digest before them is theirs: LLVM would
abort on garbled code. Numba compiles, but code that was kept is linked by LLVM alone: a process that compiles nothing
does not import numba, half a second at its start. A folder that cannot be written costs a warning and the next process
a compilation.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import json
import os
import re
import sys
import tempfile
import threading
import types
import warnings
from typing import Any, TypeAlias

_loading = threading.Lock()
_loaded: dict[str, types.SimpleNamespace] = {}
_warned = False


def root() -> str:
    """The cache folder: `ODEOPT_CACHE_DIR`, else `odeopt` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("ODEOPT_CACHE_DIR") or os.path.join(base, "odeopt")


def kernel_folder() -> str:
    """The folder of machine code for this Python, numba, llvmlite and CPU."""
    return os.path.join(root(), f"kernels-{_machine()[:16]}")


def digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def source(name: str) -> str:
    """The text of a module of this folder that is compiled with kernels: importing it would import numba."""
    with open(os.path.join(os.path.dirname(__file__), f"{name}.py"), encoding="utf-8") as file:
        return file.read()


def load_kernel(text: str, vectorize: bool = True) -> types.SimpleNamespace:
    """The C functions (`numba.cfunc`) of a kernel's text by their names, compiled or read from the cache.

    Without `vectorize` LLVM leaves loops as they are, which is quicker where they only move numbers.
    """
    with _loading:
        name = digest(text if vectorize else text + "# loops as they are\n")[:32]
        if name not in _loaded:
            path = os.path.join(kernel_folder(), f"{name}.kernel")
            objects = _unpacked(_whole(path), text)
            if objects is None:
                objects = _compiled(text, path, vectorize)
                try:
                    _write(path, _packed(text, objects))
                except OSError as error:                    # full, read-only: never the user's problem
                    _not_kept(error)
            _loaded[name] = types.SimpleNamespace(**{function: Function(*code) for function, code in objects.items()})
        return _loaded[name]


def remember(name: str, text: str) -> None:
    """Keep a small text under `name`; a folder that cannot be written is passed over."""
    with contextlib.suppress(OSError):
        _write(os.path.join(root(), name), text.encode())


def recall(name: str) -> str | None:
    """The text kept under `name`, or None if there is none or it is not whole."""
    body = _whole(os.path.join(root(), name))
    return None if body is None else body.decode()


# -- files: the digest of what follows as a comment, and what follows

def _whole(path: str) -> bytes | None:
    """What a file holds, if it is there and as it was written."""
    try:
        with open(path, "rb") as file:
            head, body = file.readline(), file.read()
    except OSError:
        return None
    return body if head == _seal(body) else None


def _write(path: str, body: bytes) -> None:
    """The file whole, or OSError. Equal names mean equal results, so the last of two writers does no harm."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_seal(body) + body)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _seal(body: bytes) -> bytes:
    return f"# {hashlib.sha256(body).hexdigest()}\n".encode()


def _not_kept(error: OSError) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(f"kernel cache {root()} cannot be written ({type(error).__name__}: {error}), so kernels are "
                      "compiled again in every process. Set ODEOPT_CACHE_DIR to a folder that can be written.",
                      RuntimeWarning, stacklevel=4)


# -- machine code

Objects: TypeAlias = dict[str, tuple[str, bytes]]           # of each function, its symbol and an object file


@functools.cache
def _machine() -> str:
    """Digest of everything that machine code depends on beside its text: this file is how it is compiled."""
    import llvmlite
    from llvmlite import binding
    numba = importlib.util.find_spec("numba")               # found, not imported
    if numba is None or numba.origin is None:
        raise ModuleNotFoundError("the lanes need numba: pip install numba")
    with open(os.path.join(os.path.dirname(numba.origin), "_version.py"), encoding="utf-8") as file:
        version = file.read()
    options = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    return digest(repr((source("cache"), sys.implementation.cache_tag, version, llvmlite.__version__,
                        binding.get_process_triple(), binding.get_host_cpu_name(),
                        binding.get_host_cpu_features().flatten(), options)))


def _compiled(text: str, path: str, vectorize: bool) -> Objects:
    _start_numba()
    from numba import config
    from numba.core.ccallback import CFunc
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target
    options: Any = config
    context = cpu_target.target_context
    module = types.ModuleType("odeopt_kernel")
    with global_compiler_lock:                              # what is changed here holds for every thread
        before = options.DISABLE_JIT, options.LOOP_VECTORIZE, context._internal_codegen
        # a user debugs functions of her own without the compiler, not these
        options.DISABLE_JIT, options.LOOP_VECTORIZE = 0, int(vectorize and options.LOOP_VECTORIZE)
        context._internal_codegen = _to_objects()
        try:
            exec(compile(text, path, "exec"), module.__dict__)
        finally:
            options.DISABLE_JIT, options.LOOP_VECTORIZE, context._internal_codegen = before
    functions: dict[str, Any] = {name: f for name, f in vars(module).items() if isinstance(f, CFunc)}
    for name, function in functions.items():
        declared = re.findall(r'^declare [^@]*@"?([^"(]+)', function.inspect_llvm(), re.MULTILINE)
        foreign = [c for c in declared if not c.startswith("llvm.") and not hasattr(ctypes.pythonapi, c)]
        if foreign:                                         # a process without numba would crash
            raise RuntimeError(f"the kernel function {name} calls numba's {', '.join(foreign)}: what it calls must be "
                               "inlined (forceinline=True) and must neither raise nor allocate")
    return {name: (f.native_name, f._library.emit_native_object()) for name, f in functions.items()}


@functools.cache
def _to_objects() -> Any:
    """Numba's compiler to object files, for this CPU.

    The one to memory makes machine code of every function that is only inlined, and has constants anywhere in memory:
    a loop with many of them keeps their addresses in registers that it does not have.
    """
    from numba.core.codegen import AOTCodeLibrary, AOTCPUCodegen

    class Library(AOTCodeLibrary):
        def get_pointer_to_function(self, name: str) -> int:
            """No pointer before the object is linked; numba asks when a function is whole."""
            self._ensure_finalized()
            return 0

        def _optimize_final_module(self) -> None:
            """What is only inlined is optimised in the C functions: a quarter of the time to compile a network's."""
            if any(f.name.startswith("cfunc.") for f in self._final_module.functions if not f.is_declaration):
                super()._optimize_final_module()

    class Codegen(AOTCPUCodegen):
        _library_class = Library

        def _customize_tm_features(self) -> str:
            return self._get_host_cpu_features()            # a virtual machine may lack some of its CPU's

        def set_env(self, name: str, env: Any) -> None:
            """Globals of functions that use Python's objects; none here does."""
    return Codegen("odeopt", "host")


def _packed(text: str, objects: Objects) -> bytes:
    """A line on the objects, the text, and the objects."""
    sizes = [(name, symbol, len(code)) for name, (symbol, code) in objects.items()]
    return b"".join([json.dumps(sizes).encode(), b"\n", text.encode(), *(code for _, code in objects.values())])


def _unpacked(body: bytes | None, text: str) -> Objects | None:
    if body is None:
        return None
    line, _, rest = body.partition(b"\n")
    objects, rest = {}, rest.removeprefix(text.encode())
    for name, symbol, size in json.loads(line):
        objects[name], rest = (symbol, rest[:size]), rest[size:]
    return objects


_BLAS = "scipy.linalg.cython_blas"


@functools.cache
def _start_numba() -> None:
    """Load numba's types and lowering, without SciPy.

    Numba imports SciPy's BLAS at its start only to see whether it is there, a quarter of the time to a first result. A
    stand-in answers; whoever compiles np.dot later imports the real one, since numba asks again then.
    """
    from numba.core.registry import cpu_target
    stand_in = _BLAS not in sys.modules and importlib.util.find_spec("scipy") is not None
    if stand_in:
        sys.modules[_BLAS] = types.ModuleType(_BLAS)
    try:
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()
    finally:
        if stand_in:
            del sys.modules[_BLAS]


class Function:
    """A C function in memory, for as long as it is kept.

    Attributes
    ----------
    address : int
    """

    def __init__(self, symbol: str, code: bytes) -> None:
        from llvmlite import binding
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        machine = binding.Target.from_triple(binding.get_process_triple()).create_target_machine()
        # an engine of its own: functions of different kernels may have the same symbol
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine, use_lmm=True)
        self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.address = self._engine.get_function_address(symbol)
