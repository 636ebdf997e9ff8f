"""amocrm-api-wrapper (PyPI, by others) against the served sandbox: what it reads back must be what it wrote.

Reads the sandbox's JSON line from standard input. It does not pace itself: the sandbox's limit is off.
"""

import json
import sys

import requests
from amocrm_api import AmoOAuthClient
from amocrm_api.errors import AmoException


def one(answer: dict, name: str) -> dict:
    [item] = answer["_embedded"][name]
    return item


def work(amo: AmoOAuthClient) -> None:
    assert amo.get_account_info(with_datetime_settings=True)["_embedded"]["datetime_settings"]["timezone"] == "Europe/Moscow"
    assert [user["id"] for user in amo.get_users()["_embedded"]["users"]] == [9001, 9002]
    assert amo.get_contacts() == {}, "204 without a body"

    made = amo.create_catalogs([{"name": "Товары", "type": "products"}])
    catalog = one(made, "catalogs")["id"]
    codes = [field["code"] for field in amo.get_catalog_custom_fields(catalog)["_embedded"]["custom_fields"]]
    assert "EXTERNAL_ID" in codes, codes
    element = one(
        amo.add_elements_to_catalog(
            catalog,
            [
                {
                    "name": "Билет",
                    "custom_fields_values": [
                        {"field_code": "PRICE", "values": [{"value": "500"}]},
                        {"field_code": "EXTERNAL_ID", "values": [{"value": "p-1"}]},
                    ],
                }
            ],
        ),
        "elements",
    )
    changed = amo.update_elements_in_catalog(catalog, [{"id": element["id"], "name": "Билет на 1 час"}])
    assert one(changed, "elements")["name"] == "Билет на 1 час", changed
    assert one(amo.get_catalog_elements(catalog), "elements")["id"] == element["id"]

    contact = one(
        amo.create_contacts([{"first_name": "Анна", "custom_fields_values": [{"field_code": "PHONE", "values": [{"value": "+79990001122"}]}]}]),
        "contacts",
    )["id"]
    lead = one(amo.create_leads([{"name": "День рождения", "_embedded": {"contacts": [{"id": contact}]}}]), "leads")["id"]
    amo.link_leads_entity(
        lead,
        [{"to_entity_id": element["id"], "to_entity_type": "catalog_elements", "metadata": {"quantity": 3, "catalog_id": catalog}}],
    )
    read = amo.get_leads(with_params=["contacts", "catalog_elements"])
    embedded = one(read, "leads")["_embedded"]
    assert embedded["catalog_elements"][0]["metadata"]["quantity"] == 3, embedded
    assert embedded["contacts"][0]["id"] == contact, embedded
    links = amo.get_leads_links(lead, {"to_entity_type": "catalog_elements"})
    assert one(links, "links")["to_entity_id"] == element["id"], links

    amo.update_contacts([{"id": contact, "first_name": "Аня"}])
    since = one(amo.get_contacts(), "contacts")["updated_at"]
    assert one(amo.get_contacts(filters={"updated_at__from": since}, order={"updated_at": "asc"}), "contacts")["first_name"] == "Аня"
    names = amo.get_events(filter_by_type="name_field_changed", filter_by_entity="contact")
    assert one(names, "events")["value_after"][0]["name_field_value"]["name"] == "Аня", names
    assert amo.get_events(filter_by_entity="contact", filter_by_entity_id=contact)["_embedded"]["events"]

    task = one(amo.add_tasks([{"text": "Позвонить", "complete_till": since + 3600, "entity_type": "leads", "entity_id": lead}]), "tasks")
    amo.execution_task(task["id"], True, "готово")
    assert amo.get_task(task["id"])["result"]["text"] == "готово"
    amo.create_entity_note("leads", [{"note_type": "common", "params": {"text": "заметка"}}], lead)
    assert one(amo.get_notes_by_entity_type("leads", filter_by_entity_id=lead), "notes")["params"]["text"] == "заметка"
    amo.add_tags_for_entity_type("leads", [{"name": "лайм"}])
    assert one(amo.get_tags_by_entity_type("leads"), "tags")["name"] == "лайм"

    hook = amo.subscribe_webhook("http://127.0.0.1:9/", ["update_contact"])
    assert hook["disabled"] is False and one(amo.get_webhooks(), "webhooks")["id"] == hook["id"], hook
    try:
        amo.create_leads([{"name": "x", "status_id": 1}])
    except AmoException as error:
        assert "status_id" in str(error), error
    else:
        raise AssertionError("a stage that is not there was taken")


at = json.load(sys.stdin)
given = at["amocrm_oauth"]
pair = requests.post(at["amocrm_url"] + "/oauth2/access_token", json={**given, "grant_type": "authorization_code"}, timeout=10).json()
client = AmoOAuthClient(
    pair["access_token"], pair["refresh_token"], at["amocrm_url"], given["client_id"], given["client_secret"], given["redirect_uri"]
)
work(client)
client.update_tokens()
assert client.tokens["access_token"] != pair["access_token"]
assert client.get_account_info()["id"]
print("ok")
