"""fast-bitrix24 (PyPI, by others) against the served sandbox: what it reads back must be what it wrote.

Reads the sandbox's JSON line from standard input.
"""

import asyncio
import json
import sys

from fast_bitrix24 import BitrixAsync


async def main() -> None:
    at = json.load(sys.stdin)
    b24 = BitrixAsync(at["bitrix24_webhook"], verbose=False)

    field = {"fields": {"FIELD_NAME": "LIME_KEY", "USER_TYPE_ID": "string", "LABEL": "Ключ"}}
    assert isinstance(await b24.call("crm.contact.userfield.add", field), int)

    # Several batches at once; their answers come in any order.
    contacts = [
        {
            "fields": {
                "NAME": f"Гость {number} & Ко #1",
                "PHONE": [{"VALUE": f"+7999000{number:04d}", "VALUE_TYPE": "MOBILE"}],
                "UF_CRM_LIME_KEY": f"c-{number}",
            }
        }
        for number in range(120)
    ]
    ids = await b24.call("crm.contact.add", contacts)
    assert len(set(ids)) == 120, len(set(ids))

    everyone = await b24.get_all("crm.contact.list", {"select": ["*", "UF_*", "PHONE"]})
    assert len(everyone) == 120, len(everyone)
    one = next(contact for contact in everyone if contact["UF_CRM_LIME_KEY"] == "c-77")
    assert one["NAME"] == "Гость 77 & Ко #1" and one["PHONE"][0]["VALUE"] == "+79990000077", one
    assert isinstance(one["ID"], str), one

    items = await b24.get_all("crm.item.list", {"entityTypeId": 3, "filter": {"@ufCrmLimeKey": ["c-1", "c-2"]}})
    assert sorted(item["ufCrmLimeKey"] for item in items) == ["c-1", "c-2"], items

    got = await b24.get_by_ID("crm.contact.get", ids[:60])
    assert {contact["ID"] for contact in got.values()} == {str(id) for id in ids[:60]}, len(got)

    found = await b24.call(
        "crm.duplicate.findbycomm",
        {"type": "PHONE", "values": ["8 999 000-00-77"], "entity_type": "CONTACT"},
        raw=True,
    )
    assert found["result"]["CONTACT"] == [int(one["ID"])], found
    nobody = await b24.call(
        "crm.duplicate.findbycomm", {"type": "PHONE", "values": ["+71"], "entity_type": "CONTACT"}, raw=True
    )
    assert nobody["result"] == [], nobody

    chained = await b24.call_batch(
        {
            "halt": 0,
            "cmd": {
                "deal": f"crm.item.add?entityTypeId=2&fields[title]=x&fields[contactId]={one['ID']}",
                "again": "crm.item.get?entityTypeId=2&id=$result[deal][item][id]",
            },
        }
    )
    assert chained["again"]["item"]["contactIds"] == [int(one["ID"])], chained

    # More than the bucket holds at once: some are refused, and the client comes again.
    await asyncio.gather(*(b24.call("profile", raw=True) for _ in range(48)))


asyncio.run(main())
print("ok")
