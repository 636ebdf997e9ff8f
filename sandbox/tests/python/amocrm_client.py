"""aioamocrm (PyPI, by others) against the served sandbox: what it reads back must be what it wrote.

Reads the sandbox's JSON line from standard input.
"""

import asyncio
import json
import sys

from aiohttp import ClientSession, web

from aioamocrm import (
    AmoCRMClient,
    AuthError,
    Contact,
    Lead,
    LongLivedToken,
    NotFoundError,
    OAuth2,
    ValidationError,
    parse_webhook,
)


async def work(amo: AmoCRMClient) -> None:
    account = await amo.account.get(with_=["datetime_settings", "users_groups", "task_types"])
    assert account.name == "Парк", account

    pipelines = await amo.pipelines.list()
    passes = next(pipeline for pipeline in pipelines if pipeline.name == "Проходы")
    statuses = await amo.pipelines.statuses(passes.id)
    passed = next(status for status in statuses if status.name == "Прошёл")

    created = await amo.request(
        "POST", "contacts/custom_fields", json=[{"type": "text", "name": "Ключ", "code": "LIME_CLIENT_ID"}]
    )
    assert created["_embedded"]["custom_fields"][0]["code"] == "LIME_CLIENT_ID"
    codes = [field.code async for field in amo.contacts.custom_fields.iterate()]
    assert codes == ["POSITION", "PHONE", "EMAIL", "LIME_CLIENT_ID"], codes

    people = [
        {
            "first_name": f"Гость {number}",
            "custom_fields_values": [
                {"field_code": "PHONE", "values": [{"value": f"+7999000{number:04d}", "enum_code": "MOB"}]},
                {"field_code": "LIME_CLIENT_ID", "values": [{"value": f"c-{number}"}]},
            ],
            "tags_to_add": [{"name": "лайм"}],
        }
        for number in range(60)
    ]
    refs = await amo.contacts.create(people)
    assert len(refs) == 60 and [ref.request_id for ref in refs[:2]] == ["0", "1"], refs[:2]

    # Over three pages, by the links in the answers.
    seen = [contact.id async for contact in amo.contacts.iterate(limit=25)]
    assert sorted(seen) == sorted(ref.id for ref in refs), len(seen)
    found = [contact.id async for contact in amo.contacts.iterate(query="9990000007")]
    assert found == [refs[7].id], found

    await amo.contacts.update([Contact(id=refs[7].id, first_name="Анна")])
    anna = await amo.contacts.get(refs[7].id, with_="leads")
    assert anna.first_name == "Анна" and [tag.name for tag in anna.embedded.tags] == ["лайм"], anna

    [lead] = await amo.leads.create([Lead(name="Проход", price=500, pipeline_id=passes.id, status_id=passed.id)])
    await amo.leads.link(lead.id, "contacts", anna.id, metadata={"is_main": True})
    [link] = await amo.leads.links(lead.id)
    assert link.to_entity_id == anna.id, link
    [note] = await amo.leads.notes.create(
        [{"entity_id": lead.id, "note_type": "common", "params": {"text": "Вход 1"}}]
    )
    assert (await amo.leads.notes.get(note.id, entity_id=lead.id)).params["text"] == "Вход 1"
    [complex_] = await amo.leads.create_complex(
        [{"name": "Заявка", "_embedded": {"contacts": [{"first_name": "Борис"}]}}]
    )
    assert complex_.contact_id and complex_.merged is False, complex_

    try:
        await amo.leads.create([Lead(name="x", pipeline_id=passes.id, status_id=1)])
    except ValidationError as error:
        assert "status_id" in str(error), error
    else:
        raise AssertionError("a stage that is not there was taken")
    try:
        await amo.leads.get(1)
    except NotFoundError:
        pass
    else:
        raise AssertionError("a lead that is not there was found")


async def hooks(amo: AmoCRMClient, control_url: str) -> None:
    """A manager changes a phone; the hook comes, is answered badly once, and comes again."""
    bodies: asyncio.Queue[bytes] = asyncio.Queue()
    statuses = iter([503, 204])

    async def answer(request: web.Request) -> web.Response:
        await bodies.put(await request.read())
        return web.Response(status=next(statuses))

    app = web.Application()
    app.router.add_post("/amo/secret", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    hook = {"destination": f"http://127.0.0.1:{port}/amo/secret", "settings": ["update_contact"]}
    await amo.request("POST", "webhooks", json=hook)
    contact = await anext(aiter(amo.contacts.iterate(limit=1)))
    async with ClientSession() as person:
        await person.post(f"{control_url}/switches", json={"amocrm": {"hook_minute_ms": 1}})
        change = {"id": contact.id, "phones": ["+79995550000", "+79995550001"]}
        async with person.post(f"{control_url}/amocrm/contact", json=change) as done:
            assert done.status == 200, await done.text()
    first, second = [await asyncio.wait_for(bodies.get(), 60) for _ in range(2)]
    assert first == second, "a try is the same body again"
    webhook = parse_webhook(second)
    [event] = webhook.events
    assert (event.entity, event.action, event.id) == ("contacts", "update", contact.id), event
    assert event.field_values("PHONE") == ["+79995550000", "+79995550001"], event
    assert webhook.subdomain == "park", webhook.account
    await runner.cleanup()


async def main() -> None:
    at = json.load(sys.stdin)
    async with AmoCRMClient(auth=LongLivedToken(at["amocrm_token"]), base_url=at["amocrm_url"]) as amo:
        await work(amo)
        await hooks(amo, at["control_url"])

    given = at["amocrm_oauth"]
    oauth = OAuth2(given["client_id"], given["client_secret"], given["redirect_uri"])
    async with AmoCRMClient(auth=oauth, base_url=at["amocrm_url"]) as amo:
        first = await amo.exchange_code(given["code"])
        second = await oauth.refresh(amo._endpoint)
        assert first.refresh_token != second.refresh_token
        assert (await amo.account.get()).id
        try:
            await amo.exchange_code(given["code"])
        except AuthError:
            pass
        else:
            raise AssertionError("a code worked twice")


asyncio.run(main())
print("ok")
