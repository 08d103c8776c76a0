//! One suspend as a picture: what each vCPU did, by the guest's own clock.

use std::collections::BTreeMap;

use maud::{html, Markup};

use super::scale::{count, duration, short, Percent, Scale};
use super::suspends::{Drain, End, Suspend};

/// What is done until a phase is entered: a class for its colour, and words.
fn work(phase: &str) -> (&'static str, &str) {
    match phase {
        "requested" => ("w-other", "see the request"),
        "acknowledged" => ("w-answer", "answer control/shutdown"),
        "quiesced" => ("w-park", "park the other vCPUs"),
        "drained" => ("w-drain", "drain every cache"),
        "audited" => ("w-audit", "read every page table"),
        "detached" => ("w-detach", "interrupts off"),
        "suspended" => ("w-call", "to the suspend call"),
        "restored" => ("w-back", "back, as a new domain"),
        "cancelled" => ("w-back", "back, cancelled"),
        other => ("w-other", other),
    }
}

/// A piece of work: phase that ends it, beginning, end.
type Piece<'a> = (&'a str, f64, f64);

fn pieces(suspend: &Suspend) -> Vec<Piece<'_>> {
    let mut from = 0.0;
    let mut all = Vec::new();
    for (phase, to) in &suspend.phases {
        if *to > from {
            all.push((phase.as_str(), from, *to));
            from = *to;
        }
    }
    all
}

/// A lane's height.
const LANE: f64 = 24.0;
/// Width that stands for the time away, in which the guest's clock does not run, per cent.
const AWAY: f64 = 7.0;

/// Places on the guest's clock, with a piece of the width left out for the time away.
struct Axis {
    before: Scale,
    after: Scale,
    /// When the guest leaves, nanoseconds since the request.
    leaves: f64,
}

impl Axis {
    fn of(suspend: &Suspend, end: f64) -> Self {
        let leaves = suspend.phases.iter().find(|(p, _)| p == "suspended");
        let back = matches!(suspend.end, End::Back(_));
        match leaves {
            Some((_, leaves)) if back && *leaves < end => {
                let part = leaves / end * (100.0 - AWAY);
                Self {
                    before: Scale::new(0.0, *leaves, 0.0, part),
                    after: Scale::new(*leaves, end, part + AWAY, 100.0),
                    leaves: *leaves,
                }
            }
            _ => Self {
                before: Scale::new(0.0, end, 0.0, 100.0),
                after: Scale::new(end, end + 1.0, 100.0, 100.0),
                leaves: f64::INFINITY,
            },
        }
    }

    fn at(&self, ns: f64) -> Percent {
        if ns <= self.leaves {
            self.before.at(ns)
        } else {
            self.after.at(ns)
        }
    }

    /// Left edge and width; a piece that begins when the guest leaves begins after the gap.
    fn span(&self, from: f64, to: f64) -> (Percent, Percent) {
        if from >= self.leaves {
            (self.after.at(from), self.after.width(from, to))
        } else {
            (
                self.at(from),
                Percent((self.at(to).0 - self.at(from).0).max(0.2)),
            )
        }
    }

    fn gap(&self) -> Option<(Percent, Percent)> {
        self.leaves.is_finite().then(|| {
            let from = self.before.at(self.leaves);
            (from, Percent(AWAY))
        })
    }
}

/// The figure.
pub fn figure(suspend: &Suspend, during: Option<&str>, id: &str) -> Markup {
    let pieces = pieces(suspend);
    let end = pieces
        .last()
        .map_or(1.0, |piece| piece.2)
        .max(suspend.drain.as_ref().map_or(1.0, |drain| drain.to));
    let axis = Axis::of(suspend, end);
    let vcpus = suspend
        .drain
        .as_ref()
        .map_or(0, |drain| drain.per_cpu.len())
        .max(suspend.online.iter().max().map_or(1, |n| *n as usize + 1))
        .min(64);
    let depot = suspend.drain.as_ref().is_some_and(|drain| drain.depot > 0);
    let lanes = vcpus + usize::from(depot);
    let height = LANE * lanes as f64;
    let phase = |name: &str| {
        suspend
            .phases
            .iter()
            .find(|(p, _)| p == name)
            .map(|(_, ns)| *ns)
    };
    let outcome = match &suspend.end {
        End::Back(how) => how.clone(),
        End::GivenUp(_) => "given up".into(),
        End::Unknown => "no end on record".into(),
    };
    let title = match during {
        Some(action) => format!("{action}: {outcome}"),
        None => format!("suspend {}: {outcome}", suspend.round),
    };
    html! {
        figure.suspend {
            figcaption {
                strong { (title) } " "
                span.muted {
                    "round " (suspend.round) ", " (suspend.online.len()) " vCPUs online"
                    @if let Some(drain) = &suspend.drain {
                        ", " b.drained { (count(drain.sets)) " sets drained" } " in " (duration(drain.to - drain.from))
                        ", " (drain.calls) @if drain.calls == 1 { " call" } @else { " calls" }
                    }
                }
            }
            @if let End::GivenUp(why) = &suspend.end { p.bad { (why) } }
            div.lanes {
                div.names aria-hidden="true" {
                    @for vcpu in 0..vcpus { div { "vCPU " (vcpu) } }
                    @if depot { div { "depot" } }
                }
                svg role="img" aria-labelledby=(format!("{id}-t")) height=(height + 22.0) {
                    title id=(format!("{id}-t")) {
                        (title) ", " (duration(end)) " on the guest's clock; the table below has the figures"
                    }
                    @for tick in axis_ticks(end) {
                        @let x = axis.at(tick);
                        line.grid x1=(x) x2=(x) y1="0" y2=(height) {}
                        text.tick x=(x) y=(height + 15.0) text-anchor=(anchor(x)) { (short(tick / 1e6)) @if tick == 0.0 { " ms" } }
                    }
                    @for vcpu in 0..vcpus {
                        @let y = LANE * vcpu as f64 + 3.0;
                        @if vcpu == 0 {
                            @for (name, from, to) in &pieces {
                                (bar(&axis, y, *from, *to, work(name).0, &format!("{}: {} to {} ms", work(name).1, ms(*from), ms(*to))))
                            }
                        } @else {
                            (other_vcpu(&axis, y, suspend, vcpu as u64, phase("quiesced"), end))
                        }
                        @if let Some(drain) = &suspend.drain {
                            (taken(&axis, y, drain, drain.per_cpu.get(vcpu).copied().unwrap_or(0), vcpu == 0))
                        }
                    }
                    @if let (true, Some(drain)) = (depot, &suspend.drain) {
                        (taken(&axis, LANE * vcpus as f64 + 3.0, drain, drain.depot, false))
                    }
                    @if let Some((x, width)) = axis.gap() {
                        rect.away x=(x) y="0" width=(width) height=(height) {
                            title { "away: the guest's clock stands still" }
                        }
                    }
                }
            }
            (legend(suspend, &pieces))
            (as_table(suspend, &pieces))
        }
    }
}

fn axis_ticks(end: f64) -> Vec<f64> {
    Scale::new(0.0, end, 0.0, 100.0).ticks(5)
}

fn anchor(x: Percent) -> &'static str {
    match x.0 {
        x if x < 3.0 => "start",
        x if x > 97.0 => "end",
        _ => "middle",
    }
}

fn ms(ns: f64) -> String {
    format!("{:.1}", ns / 1e6)
}

fn bar(axis: &Axis, y: f64, from: f64, to: f64, class: &str, title: &str) -> Markup {
    let (x, width) = axis.span(from, to);
    html! {
        rect class=(class) x=(x) y=(y) width=(width) height=(LANE - 6.0) rx="2" { title { (title) } }
    }
}

/// A vCPU that does not lead: it churns until it is parked and stands until the guest is back.
fn other_vcpu(
    axis: &Axis,
    y: f64,
    suspend: &Suspend,
    vcpu: u64,
    quiesced: Option<f64>,
    end: f64,
) -> Markup {
    if !suspend.online.contains(&vcpu) {
        return bar(axis, y, 0.0, end, "offline", "offline");
    }
    let parked = quiesced.unwrap_or(end);
    html! {
        (bar(axis, y, 0.0, parked, "running", &format!("churns until it is parked, {} ms at the latest", ms(parked))))
        @if quiesced.is_some() && parked < end {
            (bar(axis, y, parked, end, "parked", "parked, interrupts off"))
        }
    }
}

/// The sets that the drain took from one cache. The lead's own lane shows the work around it too.
fn taken(axis: &Axis, y: f64, drain: &Drain, sets: u64, lead: bool) -> Markup {
    let (x, width) = axis.span(drain.from, drain.to);
    let middle = Percent(x.0 + width.0 / 2.0);
    // Beside the bar where the bar is too narrow for it.
    let (place, anchor, class) = if width.0 > 7.0 {
        (middle, "middle", "on-drain")
    } else if x.0 < 85.0 {
        (Percent(x.0 + width.0 + 1.0), "start", "by-drain")
    } else {
        (Percent(x.0 - 1.0), "end", "by-drain")
    };
    html! {
        rect.drain-bar x=(x) y=(y - 2.0) width=(Percent(width.0.max(0.6))) height=(LANE - 2.0) rx="2" {
            title { (sets) " sets taken from this cache by vCPU 0" }
        }
        @if !(lead && width.0 <= 7.0) {
            text class=(class) x=(place) y=(y + 13.5) text-anchor=(anchor) { (sets) }
        }
    }
}

fn legend(suspend: &Suspend, pieces: &[Piece<'_>]) -> Markup {
    let away = suspend.away.filter(|_| matches!(suspend.end, End::Back(_)));
    html! {
        ul.legend {
            @for (name, from, to) in pieces.iter().filter(|(name, ..)| *name != "requested") {
                @if matches!(*name, "restored" | "cancelled") { (away_item(away)) }
                li { span class={ "key " (work(name).0) } {} (work(name).1) " " b { (duration(to - from)) } }
            }
            @if let Some(drain) = &suspend.drain {
                li { span class="key drain-bar" {} "the drain itself, with the sets it took from each cache; left over: " b { (drain.left) } }
            }
            @if suspend.online.len() > 1 {
                li { span class="key running" {} "churning" }
                li { span class="key parked" {} "parked" }
            }
        }
    }
}

fn away_item(away: Option<f64>) -> Markup {
    html! {
        li { span class="key away" {} "away"
            @if let Some(secs) = away { ", by the host's clock " b { (duration(secs * 1e9)) } }
        }
    }
}

fn as_table(suspend: &Suspend, pieces: &[Piece<'_>]) -> Markup {
    let sets: BTreeMap<usize, u64> = suspend
        .drain
        .iter()
        .flat_map(|drain| drain.per_cpu.iter().copied().enumerate())
        .collect();
    html! {
        details {
            summary { "as a table" }
            div.scroll { table {
                thead { tr { th { "phase" } th { "what was done" } th.n { "entered, ms" } th.n { "took, ms" } } }
                tbody { @for (name, from, to) in pieces {
                    tr { td { (name) } td { (work(name).1) } td.n { (format!("{:.3}", to / 1e6)) } td.n { (format!("{:.3}", (to - from) / 1e6)) } }
                } }
            } }
            @if !sets.is_empty() {
                p { "Sets taken: "
                    @for (vcpu, n) in &sets { "vCPU " (vcpu) ": " (n) "; " }
                    "depot: " (suspend.drain.as_ref().map_or(0, |drain| drain.depot)) "."
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::life;
    use super::super::suspends::suspends;
    use super::*;

    #[test]
    fn the_pieces_of_a_suspend_are_its_phases() {
        let all = suspends(&life());
        let first = &all[0];
        let names: Vec<_> = pieces(first).iter().map(|p| p.0).collect();
        assert_eq!(
            names,
            [
                "acknowledged",
                "quiesced",
                "drained",
                "audited",
                "detached",
                "suspended",
                "restored"
            ]
        );
    }

    #[test]
    fn the_gap_lies_where_the_guest_is_away() {
        let first = &suspends(&life())[0];
        let axis = Axis::of(first, 45e6);
        let (x, width) = axis.gap().unwrap();
        let (back, rest) = axis.span(33e6, 45e6);
        assert!((x.0 + width.0 - back.0).abs() < 1e-9);
        assert!((back.0 + rest.0 - 100.0).abs() < 1e-9);
        assert!(axis.at(14e6) < x);
    }

    #[test]
    fn figures_say_what_was_drained_and_escape_what_was_said() {
        let all = suspends(&life());
        let page = figure(&all[0], Some("xl <save>"), "s0").into_string();
        assert!(page.contains("18 sets drained") && page.contains("xl &lt;save&gt;"));
        assert!(page.contains("9 sets taken from this cache"));
        let page = figure(&all[1], None, "s1").into_string();
        assert!(page.contains("page &lt;7&gt;") && page.contains("given up"));
    }
}
