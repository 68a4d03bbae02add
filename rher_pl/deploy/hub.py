"""Policies on the Hugging Face Hub: their addresses, the file behind one, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import rher_pl
from rher_pl.errors import ConfigError, one_line, require

SCHEME = "hf://"
POLICY, CARD, VIDEO = "policy.ckpt", "README.md", "replay.mp4"
"""All files of a repository. The first has the layout of those in ``pretrained``, the Hub shows the
other two."""
LOGIN = "run `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True)
class HubAddress:
    """Where a policy is on the Hub.

    Args:
        repo: such as ``user/name``.
        revision: branch, tag or commit; None for the newest.
    """

    repo: str
    revision: str | None = None

    @staticmethod
    def read(text: str) -> HubAddress:
        """The address that is written as ``hf://user/name`` or ``hf://user/name@revision``.

        Raises:
            ConfigError: if the text is no such address, or if the extra ``hub`` is not installed.
        """
        require_hub(f"{text:.100}")
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        repo, at, revision = text.removeprefix(SCHEME).partition("@")
        hint = f"write {SCHEME}user/name, or {SCHEME}user/name@revision"
        require(repo.count("/") == 1 and bool(revision) == bool(at), f"{text!r:.100}: {hint}")
        try:
            validate_repo_id(repo)
        except HFValidationError as error:
            reason = one_line(error).partition(":")[0]
            raise ConfigError(f"{text!r:.100}: {reason:.120}: {hint}") from error
        return HubAddress(repo, revision or None)

    def __str__(self) -> str:
        return f"{SCHEME}{self.repo}{f'@{self.revision}' if self.revision else ''}"


def is_hub_address(name: object) -> bool:
    """Whether a policy's name is an address on the Hub."""
    return isinstance(name, str) and name.startswith(SCHEME)


def require_hub(what: str) -> None:
    """Raise :class:`ConfigError` unless the extra ``hub`` is installed, which ``what`` needs."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"{what} needs huggingface_hub, not installed here: pip install huggingface_hub"
        ) from error


def fetch_policy(address: HubAddress) -> Path:
    """The file of a policy in the local cache, downloaded if the Hub has another version of it.

    Without a connection it is the file that was downloaded last.

    Raises:
        ConfigError: if there is no such repository, revision or file, or neither a connection nor a
            cached file.
    """
    from huggingface_hub import hf_hub_download

    with hub_errors(address):
        path: str = hf_hub_download(
            address.repo,
            POLICY,
            revision=address.revision,
            library_name=rher_pl.__name__,
            library_version=rher_pl.__version__,
            local_files_only=not _answers(address),
        )
    return Path(path)


def _answers(address: HubAddress) -> bool:
    """Whether the Hub answers; the download itself would retry for half a minute."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    try:
        get_hf_file_metadata(hf_hub_url(address.repo, POLICY, revision=address.revision))
    except Exception as error:  # the HTTP library differs by version
        if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
            raise
        return False
    return True


@contextmanager
def hub_errors(address: HubAddress) -> Iterator[None]:
    """Whatever goes wrong with the Hub becomes one line.

    Raises:
        ConfigError: says what to do about it.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # the HTTP library differs by version
        raise ConfigError(f"{address}: {_reason(error, address)}") from error


def _reason(error: Exception, address: HubAddress) -> str:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.LocalTokenNotFoundError):
        return f"there is no token for the Hub: {LOGIN}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"no such repository, or one that is not open to you: check the name, or {LOGIN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"it has no revision {address.revision}: write a branch, a tag or a commit"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return f"cannot reach {constants.ENDPOINT}, and it was not loaded here before: connect once"
    if isinstance(error, errors.EntryNotFoundError):
        return f"it holds no {POLICY}: name a repository that rher-pl push-to-hub wrote"
    if isinstance(error, errors.HfHubHTTPError):
        return _answered(error.response.status_code, error)
    if isinstance(error, OSError) and error.errno:
        return f"{error.strerror}: set HF_HOME to a folder that can be written"
    return f"cannot reach {constants.ENDPOINT} ({one_line(error):.100}): check the connection"


def _answered(status: int, error: Exception) -> str:
    if status == 401:
        return f"the Hub refuses the token: {LOGIN}, to one that is valid"
    if status == 403:
        return f"the token may not do that: {LOGIN}, to one that may write"
    return f"the Hub answers {status} ({one_line(error):.120})"
