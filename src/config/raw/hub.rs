//! `[hub]` as typed.

use super::super::read::{At, Span, choice, table};
use super::{SecretAt, Stage};

table! {
    /// The integration of Lime and the CRM. One box of a venue has it; the others only deliver their passes.
    Hub = "[hub]" {
        /// This box runs the integration. Default true where the table is there.
        enabled: At<bool>,
        /// When a client's card in the CRM is brought up to date. Default ["pass"] (amoCRM) or ["purchase"] (Bitrix24).
        clients: Vec<At<ClientMoment>>,
        /// Changes of names, phones, addresses and birth dates, both ways.
        contacts: At<HubContacts>,
        /// Lime's products are shown in the CRM. Default true.
        products: At<bool>,
        /// Receipts become deals. Default true.
        receipts: At<bool>,
        /// Which receipts become deals where. The first that fits counts. Default: sales and top-ups, in the events pipeline (amoCRM) or the main one (Bitrix24).
        deal: Vec<At<HubDeal>>,
        /// Preorders and the deals of bookings.
        preorders: At<HubPreorders>,
        /// Where the CRM calls when something has changed, for a box that it can reach. Default: it cannot, and is asked.
        webhook: At<HubWebhook>,
        /// How often the CRM is asked for changes. Default "20s".
        poll: At<Span>,
        /// A receipt that is older than this when it is read is entered as history: robots and triggers are not set off. Default "1d".
        back_fill: At<Span>,
    }
}

choice! {
    /// When a client's card is brought up to date.
    ClientMoment {
        /// The client is new in Lime.
        Registration = "registration",
        /// Something of the client has changed in Lime.
        Change = "change",
        /// The client has bought something.
        Purchase = "purchase",
        /// The client has passed.
        Pass = "pass",
    }
}

choice! {
    /// Who wins where both sides have changed a field.
    WinsWord {
        /// Lime.
        Lime = "lime",
        /// The CRM.
        Crm = "crm",
        /// Who changed it later.
        Newest = "newest",
    }
}

table! {
    /// Changes of names, phones, addresses and birth dates, both ways.
    HubContacts = "hub.contacts" {
        /// What people change in the CRM goes to Lime. Default true.
        to_lime: At<bool>,
        /// What changes in Lime goes to the CRM. Default true.
        to_crm: At<bool>,
        /// Who wins where both sides have changed a field. Default "newest".
        wins: At<WinsWord>,
        /// The same for the family name alone.
        last_name: At<WinsWord>,
        /// The same for the first name alone.
        first_name: At<WinsWord>,
        /// The same for the patronymic alone.
        middle_name: At<WinsWord>,
        /// The same for the birth date alone.
        birth_date: At<WinsWord>,
        /// The same for phones alone: who wins where one side removes a phone and the other puts it in.
        phones: At<WinsWord>,
        /// The same for e-mail addresses alone.
        emails: At<WinsWord>,
        /// What is cleared on one side is cleared on the other, too. Default true; false: it is put back.
        clears: At<bool>,
    }
}

choice! {
    /// A kind of receipt.
    ReceiptWord {
        /// Something was bought.
        Sale = "sale",
        /// Money was put on a deposit.
        TopUp = "topup",
    }
}

table! {
    /// Which receipts become deals, and where. A condition that is left out fits everything.
    HubDeal = "[[hub.deal]]" {
        /// Kinds of receipts. Default ["sale", "topup"]. A refund follows the deal of its sale.
        kinds: Vec<At<ReceiptWord>>,
        /// A product group of Lime's, by its name or { id = "g-7" }: some line is of it, or of a group in it.
        group: At<Stage>,
        /// Lime's id of the place.
        service_point: At<String>,
        /// The sum in minor units is at least this.
        at_least: At<u32>,
        /// The sum in minor units is at most this.
        at_most: At<u32>,
        /// The pipeline, by its name as people see it or { id = 123 }.
        #[schemars(required)]
        pipeline: At<Stage>,
        /// The stage. Default: the pipeline's won stage.
        stage: At<Stage>,
        /// The deal's title: {what}, {sum}, {point}, {receipt} and {date} are filled in. Default "Покупка: {what}, {date}" (English: "Purchase: {what}, {date}").
        title: At<String>,
        /// Who is responsible: a user of the CRM by name or { id = 9001 }. Default: whom the CRM chooses.
        responsible: At<Stage>,
        /// Where the deal goes when all of it is given back. Default: it stays where it is and is marked.
        refunded: At<Stage>,
    }
}

table! {
    /// Preorders and the deals of bookings.
    HubPreorders = "hub.preorders" {
        /// Products in a booking's deal become a preorder in Lime. Default true.
        to_lime: At<bool>,
        /// Preorders made in Lime become deals. Default true (amoCRM) or false (Bitrix24).
        to_crm: At<bool>,
        /// The pipeline of bookings. Default "Дни рождения" (English: "Events").
        pipeline: At<Stage>,
        /// The stage of a deal that comes from Lime. Default: the pipeline's first.
        stage: At<Stage>,
        /// A deal goes to Lime once it is at this stage or a later one. Default: as soon as it has products.
        send_at: At<Stage>,
        /// A deal at this stage means that its preorder is cancelled. Default: the pipeline's lost stage.
        cancelled: At<Stage>,
    }
}

table! {
    /// Where the CRM calls when something has changed. A call only has the CRM asked at once; it is asked every `poll` all the same.
    HubWebhook = "[hub.webhook]" {
        /// An address and port of this machine alone: a reverse proxy or a tunnel takes the CRM's calls over https and passes them on.
        #[schemars(required)]
        listen: At<String>,
        /// What a call has to know. amoCRM: the end of the address that it calls. Bitrix24: the outgoing webhook's application_token.
        #[schemars(required)]
        secret: At<SecretAt>,
    }
}
