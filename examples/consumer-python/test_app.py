"""`pytest`: on real messages and a table in memory, with neither network nor AWS."""

import json

from app import handle


def handled(capsys):
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["message"] == "handle"]


def test_every_real_message_is_handled_once(hookgate_messages, hookgate_consume, capsys):
    consume = hookgate_consume(handle)
    assert consume(hookgate_messages) == consume(hookgate_messages) == []
    assert len(handled(capsys)) == len(hookgate_messages["Records"])


def test_a_paid_order_is_fulfilled_and_has_a_state(hookgate_batch, hookgate_consume, hookgate_table, capsys):
    assert hookgate_consume(handle)(hookgate_batch("commerce.order.paid")) == []
    (line,) = handled(capsys)
    assert (line["to_do"], line["latest"]) == ("fulfil", True)
    state = hookgate_table.items[f"latest {line['source']} {line['subject']}"]
    assert state["type"] == {"S": "commerce.order.paid"}


def test_no_payload_is_logged(hookgate_messages, hookgate_consume, capsys):
    hookgate_consume(handle)(hookgate_messages)
    log = capsys.readouterr().out
    assert "payload" not in log and "@" not in log
