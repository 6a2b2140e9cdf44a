"""Content-addressed files for kernels and derivations.

A kernel's file is named by the SHA-256 of its whole text, so an edited formula is another file and nothing is ever
stale. The folder is `ODEOPT_CACHE_DIR` or the user's cache folder, one below it for each Python, numba, llvmlite and
CPU. Machine code is used only if its digest is the one kept beside it. Where the folder cannot be used (read-only,
full), a private temporary folder serves instead, with one warning.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import threading
import types
import warnings

_loading = threading.Lock()
_private: tempfile.TemporaryDirectory | None = None


def root() -> str:
    """The cache folder: `ODEOPT_CACHE_DIR`, else `odeopt` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("ODEOPT_CACHE_DIR") or os.path.join(base, "odeopt")


def kernel_folder() -> str:
    """The folder of machine code for this Python, numba, llvmlite and CPU."""
    import llvmlite
    import llvmlite.binding
    import numba
    return os.path.join(root(), f"{sys.implementation.cache_tag}-numba{numba.__version__}"
                                f"-llvmlite{llvmlite.__version__}-{llvmlite.binding.get_host_cpu_name()}")


def digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def load_kernel(text: str) -> types.ModuleType:
    """The module of a kernel's text, compiled or read from the cache."""
    name = f"odeopt_kernel_{digest(text)[:32]}"
    with _loading:
        if name in sys.modules:
            return sys.modules[name]
        _start_numba()
        try:
            return _load(name, text, kernel_folder())
        except (OSError, RuntimeError) as error:            # full, read-only, no locator: never the user's problem
            folder = _private_folder(error)
            _seed(name, folder)
            return _load(name, text, folder)


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


def remember(name: str, text: str) -> None:
    """Keep a small text under `name`; a folder that cannot be written is passed over."""
    with contextlib.suppress(OSError):
        _write(os.path.join(root(), name), f"# {digest(text)}\n{text}")


def recall(name: str) -> str | None:
    """The text kept under `name`, or None if there is none or it is not whole."""
    try:
        with open(os.path.join(root(), name), encoding="utf-8") as file:
            head, text = file.readline(), file.read()
    except (OSError, UnicodeDecodeError):
        return None
    return text if head == f"# {digest(text)}\n" else None


def _load(name: str, text: str, folder: str) -> types.ModuleType:
    path = os.path.join(folder, name + ".py")
    try:
        with open(path, encoding="utf-8") as file:
            whole = file.read() == text
    except (OSError, UnicodeDecodeError):
        whole = False
    if not whole:
        _write(path, text)
    elif not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} is read-only")     # numba reads machine code only where it may write
    if whole and _sealed(name, folder):
        return _execute(name, path)
    for old in _machine_code(name, folder):                 # may be torn or garbled, on which LLVM would abort
        with contextlib.suppress(OSError):
            os.unlink(old)
    module = _execute(name, path)
    with contextlib.suppress(OSError):
        _write(_seal(name, folder), "".join(map(_sealing, _machine_code(name, folder))))
    return module


def _seal(name: str, folder: str) -> str:
    """The file with the digests of a kernel's machine code, which numba itself does not check."""
    return os.path.join(folder, name + ".sha256")


def _sealing(path: str) -> str:
    with open(path, "rb") as file:
        return f"{hashlib.sha256(file.read()).hexdigest()}  {os.path.basename(path)}\n"


def _sealed(name: str, folder: str) -> bool:
    """Whether all machine code of a kernel is as it was written."""
    try:
        with open(_seal(name, folder), encoding="utf-8") as file:
            lines = file.readlines()
        return bool(lines) and all(
            line == _sealing(os.path.join(folder, "__pycache__", line.split()[-1])) for line in lines)
    except (OSError, UnicodeDecodeError, IndexError):
        return False


def _execute(name: str, path: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module                              # before it runs: numba pickles functions by module name
    try:
        spec.loader.exec_module(module)                     # explicit signatures: compiled, or read, here
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _write(path: str, text: str) -> None:
    """The file whole, or OSError. Equal names mean equal bytes, so the last of two writers does no harm."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _machine_code(name: str, folder: str) -> list[str]:
    return glob.glob(os.path.join(glob.escape(folder), "__pycache__", name + ".*.nb[ic]"))


def _private_folder(error: Exception) -> str:
    global _private
    if _private is None:
        warnings.warn(f"kernel cache {root()} cannot be used ({type(error).__name__}: {error}); compiling into a "
                      "private temporary folder. Set ODEOPT_CACHE_DIR to a folder that can be written.",
                      RuntimeWarning, stacklevel=4)
        _private = tempfile.TemporaryDirectory(prefix="odeopt-kernels-")
    return _private.name


def _seed(name: str, folder: str) -> None:
    """Machine code that a read-only cache holds is still good, if the text beside it keeps its time."""
    origin, target = kernel_folder(), os.path.join(folder, "__pycache__")
    with contextlib.suppress(OSError):
        os.makedirs(target, exist_ok=True)
        for file in _machine_code(name, origin):
            shutil.copy2(file, target)
        for file in (os.path.join(origin, name + ".py"), _seal(name, origin)):
            shutil.copy2(file, folder)
