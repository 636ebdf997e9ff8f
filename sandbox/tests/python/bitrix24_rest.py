"""bitrix24-rest (PyPI, by others) against the served sandbox: what it reads back must be what it wrote.

Reads the sandbox's JSON line from standard input. Everything goes as GET with PHP's brackets in the query.
"""

import asyncio
import json
import sys

from bitrix24 import Bitrix24, BitrixError


async def main() -> None:
    at = json.load(sys.stdin)
    bx24 = Bitrix24(at["bitrix24_webhook"])

    names = [f"Гость {number}" for number in range(3)]
    ids = [
        await bx24.callMethod(
            "crm.contact.add",
            {"fields": {"NAME": name, "PHONE": [{"VALUE": f"8 999 000-00-0{at_}", "VALUE_TYPE": "MOBILE"}]}},
        )
        for at_, name in enumerate(names)
    ]
    assert all(isinstance(id_, int) for id_ in ids), ids
    listed = await bx24.callMethod("crm.contact.list", {"order": {"ID": "ASC"}, "select": ["ID", "NAME", "PHONE"]})
    assert [contact["NAME"] for contact in listed] == names, listed
    item = await bx24.callMethod("crm.item.get", {"entityTypeId": 3, "id": ids[1]})
    assert item["item"]["fm"][0]["value"] == "8 999 000-00-01", item

    product = await bx24.callMethod(
        "catalog.product.add", {"fields": {"iblockId": 23, "name": "Пицца", "xmlId": "lime:p-3"}}
    )
    product = product["element"]["id"]
    await bx24.callMethod(
        "catalog.price.modify",
        {"fields": {"product": {"id": product, "prices": [{"catalogGroupId": 1, "price": 650, "currency": "RUB"}]}}},
    )
    found = await bx24.callMethod(
        "catalog.product.list",
        {"select": ["id", "iblockId", "name", "xmlId"], "filter": {"iblockId": 23, "xmlId": "lime:p-3"}},
    )
    assert found["products"] == [{"id": product, "iblockId": 23, "name": "Пицца", "xmlId": "lime:p-3"}], found

    deal = await bx24.callMethod(
        "crm.item.add", {"entityTypeId": 2, "fields": {"title": "Чек", "contactId": ids[0], "originatorId": "LIME"}}
    )
    deal = deal["item"]["id"]
    # It glues the keys of lists of maps together: the rows come out wrong, and the deal without any.
    await bx24.callMethod("crm.deal.productrows.set", {"id": deal, "rows": [{"PRODUCT_NAME": "x", "PRICE": 5}]})
    assert await bx24.callMethod("crm.deal.productrows.get", {"id": deal}) == []
    rows = await bx24.callMethod(
        "crm.item.productrow.set",
        {"ownerType": "D", "ownerId": deal, "productRows": {"0": {"productId": product, "price": 650, "quantity": 2}}},
    )
    assert rows["productRows"][0]["quantity"] == 2, rows
    assert (await bx24.callMethod("crm.deal.get", {"id": deal}))["OPPORTUNITY"] == "1300.0"
    moves = await bx24.callMethod("crm.stagehistory.list", {"entityTypeId": 2, "filter": {">ID": 0}})
    assert moves["items"][0]["OWNER_ID"] == deal, moves

    try:
        await bx24.callMethod("event.offline.get")
    except BitrixError as error:
        assert "403" in str(error), error
    else:
        raise AssertionError("a webhook read events")


asyncio.run(main())
print("ok")
