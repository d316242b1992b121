"""What compose.yaml, Dockerfile and README say of each other and of the code."""

from __future__ import annotations

import re

from service.config.settings import ROOT
from service.database.embedded.server import INITDB
from service.media.decode_memory import MOST, SHARE


def test_the_containers_database_is_made_like_the_embedded_one() -> None:
    """initdb refuses a builtin locale without its encoding; that the embedded server starts so is tested with it."""
    [arguments] = re.findall(r"POSTGRES_INITDB_ARGS: (.*)", (ROOT / "compose.yaml").read_text())
    made_so = [argument for argument in INITDB if argument.startswith(("--encoding", "--locale", "--builtin"))]
    assert arguments.split() == made_so


def test_whoever_runs_invokeai_in_a_container_is_told_to_name_it_by_its_service() -> None:
    """By itself Darkroom looks on the host, where that one is published on loopback only."""
    composed = (ROOT / "compose.yaml").read_text()
    [port] = re.findall(r"\n  invokeai:\n(?:    .*\n)*?      - 127\.0\.0\.1:\d+:(\d+)\n", composed)
    for text in (composed, (ROOT / "README.md").read_text()):
        commands = re.findall(r".*docker compose --profile invokeai up", text)
        assert commands
        assert all(f"DARKROOM_INVOKEAI_URL=http://invokeai:{port} " in command for command in commands)


def test_the_image_has_the_licence_and_the_builder_is_sent_all_that_is_copied() -> None:
    ignored, *sent = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored == "*"
    steps = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    copied = {source for step in steps for source in step.split()}
    assert "LICENSE" in copied
    assert {f"!{source.partition('/')[0]}" for source in copied} <= set(sent)


def test_no_container_fills_the_disk_with_its_log() -> None:
    """Docker keeps every line unless it is told otherwise, and a server's faults are written as warnings."""
    composed = (ROOT / "compose.yaml").read_text()
    services = composed[composed.index("\nservices:") : composed.index("\nnetworks:")]
    assert len(re.findall(r"^  \w+:$", services, re.MULTILINE)) == services.count("    logging: *logging\n") == 3
    assert re.search(r"x-logging: &logging\n(?:  .*\n)*?    max-size: \d+m\n    max-file: ", composed)


def test_a_container_has_the_memory_that_decoding_may_take() -> None:
    """Less of it, and pictures that Darkroom takes elsewhere are refused there."""
    [gigabytes] = re.findall(r"mem_limit: (\d+)g$", (ROOT / "compose.yaml").read_text(), re.MULTILINE)
    assert int(gigabytes) * 2**30 // SHARE >= MOST
