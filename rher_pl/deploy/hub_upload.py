"""Upload the files of a policy to the Hugging Face Hub, in one commit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rher_pl.deploy.hub import LOGIN, HubAddress, hub_errors
from rher_pl.errors import ConfigError, require


def check_upload(address: HubAddress, private: bool, license_name: str | None) -> None:
    """Check that an upload can succeed, before the files are made; changes nothing.

    Args:
        address: of a repository that need not exist yet.
        private: whether a repository that exists must be private.
        license_name: must be known to the Hub, if one is given.

    Raises:
        ConfigError: if there is no token, if it may not write, or if the Hub cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api, (namespace, name) = HfApi(), address.repo.split("/")
    with hub_errors(address):
        who: dict[str, Any] = api.whoami()
        names = [who["name"], *(org["name"] for org in who.get("orgs", []))]
        require(
            namespace in names,
            f"{address}: the token is of {who['name']:.60}, who has no {namespace:.60}: "
            f"write --repo {names[0]}/{name}",
        )
        role = who.get("auth", {}).get("accessToken", {}).get("role")
        require(role != "read", f"{address}: the token only reads: {LOGIN}, to one that writes")
        if license_name:
            _check_license(license_name)
        try:
            is_private = api.model_info(address.repo).private
        except RepositoryNotFoundError:  # the upload makes it
            return
    require(
        is_private or not private,
        f"{address} is there and public: make it private on its page, or leave --private out",
    )


def _check_license(name: str) -> None:
    from huggingface_hub import ModelCard

    try:
        ModelCard(f"---\n{yaml.safe_dump({'license': name})}---\n").validate()
    except ValueError as error:
        raise ConfigError(
            f"--license {name!r:.60}: the Hub refuses it: write a short name, such as mit"
        ) from error


def upload(
    address: HubAddress,
    files: Sequence[Path],
    obsolete: Sequence[str],
    message: str,
    private: bool,
) -> str:
    """Upload files, and nothing else, in one commit; returns the address of the page.

    Args:
        address: of a repository, which is made if there is none.
        files: each goes to the top under its own name.
        obsolete: names of files to delete, if an earlier upload left them.
        message: of the commit.
        private: whether only its owner can see a repository that is made.

    Raises:
        ConfigError: if it fails; the repository is then as it was, or empty.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api, repo = HfApi(), address.repo
    with hub_errors(address):
        page = api.create_repo(repo, private=private or None, exist_ok=True)
        gone = [CommitOperationDelete(name) for name in obsolete if api.file_exists(repo, name)]
        added = [CommitOperationAdd(path.name, path) for path in files]
        api.create_commit(repo, [*gone, *added], commit_message=message)
    return str(page)
