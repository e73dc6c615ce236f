"""The commands around a rollout: a hook is ``host``, ``commands`` and what ``hooks.run`` takes for each of them."""

from salt.exceptions import CommandExecutionError

import asking
import ledger_file


def run(opts, hook):
    """Run the commands of a hook, one after the other; the error of one has the ``changes`` of those before."""
    ran, arguments = [], hook["arguments"]
    variables = arguments["variables"] | {"SLIPWAY_WHO": ledger_file.who()}
    for command in hook["commands"]:
        told = {**arguments, "variables": variables, "command": command}
        try:
            ran.append(asking.ask_one(opts, hook["host"], "hooks.run", **told))
        except CommandExecutionError as error:
            error.changes = {"ran": ran} if ran else {}
            raise
    return ran
