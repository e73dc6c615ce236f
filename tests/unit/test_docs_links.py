"""The pages name only what is there: files, headings, functions, messages, and a pillar that is right."""

import ast
import html
import re
from pathlib import Path

import pytest
import yaml

import app_spec

TREE = Path(__file__).parents[2]
PAGES = sorted([*TREE.glob("*.md"), *(TREE / "docs").glob("*.md"), *(TREE / "examples").glob("*.md")])
RUN_BY_A_TEST = ("README.md", "docs/deploy.md", "docs/hosts.md", "docs/lab.md", "docs/servers.md")
RUN_BY_A_TEST += ("docs/one-server.md", "docs/pull.md", "docs/environments.md")

FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
FUNCTION = re.compile(r"(?<![\w./'-])([a-z_]+)\.([a-z_]+)(?![\w.(/-])")
PROGRAM = re.compile(r"\s*(?:sudo |[$#] )?(?:salt|salt-run|salt-call|salt-key|make|apt-get|python3 -m lab)\s")

# Functions of Salt itself that the pages call.
CORE = {
    "key.finger", "pillar.show_pillar", "pillar.show_top", "saltutil.sync_all", "state.apply", "state.event",
    "state.orchestrate", "test.ping",
}  # fmt: skip
# What is no function: endings of files and units whose name is that of a module.
ENDINGS = {"conf", "json", "lock", "log", "md", "py", "service", "sls", "sock", "yaml"}


def names(pages):
    return [str(page.relative_to(TREE)) for page in pages]


def text(page):
    return (TREE / page).read_text(encoding="utf-8")


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", html.unescape(heading).lower()).replace(" ", "-") for heading in headings}


def functions():
    """``{module: names}`` of what the modules of this tree offer, whichever kind they are."""
    found = {}
    for file in (file for kind in ("_modules", "_runners", "_states") for file in (TREE / kind).glob("*.py")):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        found.setdefault(file.stem, set()).update(node.name for node in body if isinstance(node, ast.FunctionDef))
    found["orch"] = {file.stem for file in (TREE / "salt/orch").glob("*.sls")}
    return found


def code_lines(page):
    """Every line of a page that is code."""
    blocks = [line for _, block in FENCED.findall(text(page)) for line in block.splitlines()]
    return blocks + INLINE.findall(FENCED.sub("", text(page)))


@pytest.mark.parametrize("page", names(PAGES))
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page):
    dead = []
    for path, anchor in LINK.findall(FENCED.sub("", text(page))):
        target = (TREE / page).parent / path if path else TREE / page
        if "://" in path:
            continue
        if not target.exists() or (anchor and anchor[1:] not in anchors(target)):
            dead.append(path + anchor)
    assert dead == []


@pytest.mark.parametrize("page", names(PAGES))
def test_no_page_names_a_function_that_does_not_exist(page):
    ours, wrong = functions(), []
    for line in code_lines(page):
        for module, function in FUNCTION.findall(line):
            if function in ENDINGS:
                continue
            known = function in ours[module] if module in ours else f"{module}.{function}" in CORE
            if not known and (module in ours or PROGRAM.match(re.sub(r"^[a-z0-9]+# ", "", line))):
                wrong.append(f"{module}.{function}")
    assert wrong == []


@pytest.mark.parametrize("page", RUN_BY_A_TEST)
def test_every_command_stands_in_a_block_that_is_run(page):
    outside = [
        line
        for language, block in FENCED.findall(text(page))
        for line in block.splitlines()
        if not language.startswith("console") and PROGRAM.match(line)
    ]
    indented = [
        line for line in FENCED.sub("", text(page)).splitlines() if re.match(r" {4}", line) and PROGRAM.match(line)
    ]
    assert outside + indented == []


def test_every_message_is_one_that_the_code_has():
    kinds = ("_modules", "_states", "_utils", "_runners", "_beacons")
    modules = [file for kind in kinds for file in (TREE / kind).glob("*.py")]
    programs = [TREE / "bin/join", TREE / "conf/join.sh", TREE / "bin/secrets"]
    programs += [TREE / "bin/install", *(TREE / "bin/at_rest").glob("*.py")]
    source = "".join(file.read_text(encoding="utf-8") for file in sorted(modules) + programs)
    # A sentence may go over two lines of the source: then quotes and blanks are between its halves.
    source = re.sub(r"\"\s*\n\s*f?\"", "", source)
    messages = re.findall(r"^\| `([^`]+)` ", text("docs/errors.md"), re.MULTILINE)
    assert len(messages) > 20
    parts = [part.strip() for message in messages for part in message.split("...")]
    assert [part for part in parts if part not in source] == []


def test_the_pillar_of_the_readme_is_the_committed_one_and_enough():
    blocks = [yaml.safe_load(block) for language, block in FENCED.findall(text("README.md")) if language == "yaml"]
    hosts, apps = blocks
    assert hosts == yaml.safe_load(text("pillar/hosts.yaml"))
    committed = yaml.safe_load(text("pillar/apps/shop.sls"))["apps"]["shop"]
    shown = apps["apps"]["shop"]
    assert shown["health"].items() <= committed["health"].items()
    assert set(shown["domains"]) <= set(committed["domains"])
    same = ("source", "revision", "settings")
    assert {key: shown[key] for key in same} == {key: committed[key] for key in same}
    assert set(shown) == {*same, "domains", "health"}
    secret = {"secrets": {"shop": {"SECRET_KEY": "fake"}}, "passwords": {"database": {"shop": "fake"}}}
    assert app_spec.load({"hosts": hosts, **apps, **secret}).apps[0].name == "shop"
