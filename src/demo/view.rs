//! The demo on a terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge, Paragraph, Row, Table};

use crate::status::Link;

use super::model::Model;
use super::plain::{clock_text, remaining_text};

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model, zone: &jiff::tz::TimeZone) {
    let gates = u16::try_from(model.gates.len()).unwrap_or(3);
    let destinations = u16::try_from(model.destinations.len()).unwrap_or(2);
    let [head, upper, bars, passes, notices] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(gates + 3),
        Constraint::Length(destinations + 2),
        Constraint::Min(5),
        Constraint::Length(7),
    ])
    .areas(frame.area());
    title(frame, head, model);
    gate_table(frame, upper, model);
    destination_bars(frame, bars, model);
    pass_table(frame, passes, model, zone);
    notice_list(frame, notices, model);
}

fn title(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let gateway = if model.gateway_up {
        Span::styled("gateway running", Style::new().fg(Color::Green))
    } else {
        Span::styled("gateway gone", Style::new().fg(Color::Red))
    };
    let time = format!("  {} of {} s  ", model.elapsed_ms / 1000, model.length_ms / 1000);
    frame.render_widget(Paragraph::new(Line::from(vec![Span::styled("limegate demo", Modifier::BOLD), time.into(), gateway])), area);
}

fn gate_table(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let rows = model.gates.iter().map(|gate| {
        let (word, colour) = link_word(gate.link);
        Row::new(vec![
            gate.id.clone().into(),
            gate.title.clone().into(),
            Span::styled(word, Style::new().fg(colour)),
            gate.made.to_string().into(),
            gate.acknowledged.to_string().into(),
        ])
    });
    let widths = [Constraint::Length(5), Constraint::Min(28), Constraint::Length(10), Constraint::Length(8), Constraint::Length(13)];
    let table = Table::new(rows, widths)
        .header(Row::new(["gate", "what stands there", "link", "made", "acknowledged"]).style(Modifier::DIM))
        .block(Block::bordered().title("gates"));
    frame.render_widget(table, area);
}

fn destination_bars(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let block = Block::bordered().title("destinations");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let lines = Layout::vertical(model.destinations.iter().map(|_| Constraint::Length(1))).split(inner);
    for (row, line) in model.destinations.iter().zip(lines.iter()) {
        let [name, bar] = Layout::horizontal([Constraint::Length(46), Constraint::Min(10)]).areas(*line);
        let (word, colour) = link_word(row.link);
        let text = format!("delivered {:>6}  waiting {:>5}  ", row.delivered, row.waiting);
        let spans = vec![format!("{:<6}", row.name).into(), Span::styled(format!("{word:<9}"), Style::new().fg(colour)), text.into()];
        frame.render_widget(Paragraph::new(Line::from(spans)), name);
        let label = if row.waiting == 0 { "nothing waits".to_owned() } else { remaining_text(row) };
        let gauge = Gauge::default().ratio(row.drained().clamp(0.0, 1.0)).label(label).gauge_style(Style::new().fg(colour));
        frame.render_widget(gauge, bar);
    }
}

fn pass_table(frame: &mut Frame<'_>, area: Rect, model: &Model, zone: &jiff::tz::TimeZone) {
    let rows = model.passes.iter().map(|pass| {
        let lime = pass.lime.clone().unwrap_or_else(|| "…".to_owned());
        Row::new(vec![
            clock_text(pass.wall_ms, zone),
            pass.gate.clone(),
            pass.medium.clone(),
            format!("{:.1} ms", durable_ms(pass.durable_us)),
            lime,
            if pass.crm { "✓".to_owned() } else { "…".to_owned() },
        ])
    });
    let widths = [
        Constraint::Length(10),
        Constraint::Length(6),
        Constraint::Length(14),
        Constraint::Length(12),
        Constraint::Length(22),
        Constraint::Length(5),
    ];
    let table = Table::new(rows, widths)
        .header(Row::new(["time", "gate", "medium", "durable in", "in Lime", "CRM"]).style(Modifier::DIM))
        .block(Block::bordered().title("passes"));
    frame.render_widget(table, area);
}

fn notice_list(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let lines: Vec<Line<'_>> = model.notices.iter().rev().take(5).rev().map(|(at, text)| Line::from(format!("{:>4} s  {text}", at / 1000))).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("what happens")), area);
}

fn link_word(link: Link) -> (&'static str, Color) {
    match link {
        Link::Up => ("up", Color::Green),
        Link::Down => ("away", Color::Red),
        Link::Starting => ("starting", Color::Yellow),
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn durable_ms(us: u64) -> f64 {
    us as f64 / 1000.0
}
