//! `crm.stagehistory.list`: every stage that a deal came to.

use serde_json::{Value, json};

use super::items::Item;
use super::{Answer, Bitrix, Call, Done, PAGE, Parameters, needed, portal_time, start_of};
use crate::wire;

#[derive(Clone, Debug)]
pub(super) struct Move {
    id: u64,
    kind: u8,
    owner: u64,
    at_ms: i64,
    category: i64,
    semantics: String,
    stage: String,
}

/// How a deal came to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Created,
    Moved,
    Funnel,
}

impl Bitrix {
    pub(super) fn note_stage(&mut self, call: Call<'_>, deal: &Item, step: Step) {
        let semantics = deal.text("stageSemanticId").unwrap_or("P").to_owned();
        let kind = match step {
            Step::Created => 1,
            Step::Moved if semantics == "P" => 2,
            Step::Moved => 3,
            Step::Funnel => 5,
        };
        let id = u64::try_from(self.history.len()).unwrap_or(0) + 1;
        let stage = deal.text("stageId").unwrap_or_default().to_owned();
        self.history.push(Move { id, kind, owner: deal.id, at_ms: call.wall_ms, category: deal.number("categoryId").unwrap_or(0), semantics, stage });
    }

    pub(super) fn stage_history(&self, parameters: &Parameters) -> Answer {
        if wire::integer(needed(parameters, "entityTypeId")?) != Some(2) {
            return Ok(Done::of(json!({"items": []})));
        }
        let filter = parameters.get("filter");
        let above = filter.and_then(|filter| filter.get(">ID")).and_then(wire::integer).unwrap_or(0);
        let owner = filter.and_then(|filter| filter.get("OWNER_ID")).and_then(wire::integer);
        let mut moves: Vec<&Move> = self
            .history
            .iter()
            .filter(|at| i64::try_from(at.id).is_ok_and(|id| id > above) && owner.is_none_or(|owner| u64::try_from(owner) == Ok(at.owner)))
            .collect();
        if parameters
            .get("order")
            .and_then(|order| order.get("ID"))
            .and_then(Value::as_str)
            .is_some_and(|direction| direction.eq_ignore_ascii_case("desc"))
        {
            moves.reverse();
        }
        let rows = moves.into_iter().map(|at| {
            json!({"ID": at.id, "TYPE_ID": at.kind, "OWNER_ID": at.owner, "CREATED_TIME": portal_time(at.at_ms),
                "CATEGORY_ID": at.category.to_string(), "STAGE_SEMANTIC_ID": at.semantics, "STAGE_ID": at.stage})
        });
        match start_of(parameters) {
            Some(start) => {
                let page = Done::page(rows.collect(), start, PAGE);
                Ok(Done { result: json!({"items": page.result}), ..page })
            }
            None => Ok(Done::of(json!({"items": rows.take(PAGE).collect::<Vec<_>>()}))),
        }
    }
}
