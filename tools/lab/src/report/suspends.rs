//! The suspends of a guest, put together from its events.

use super::found::{Life, Timed};

/// The drain inside a suspend.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
    /// Nanoseconds since the request: its beginning and its end.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// Sets taken from each vCPU's cache.
    pub per_cpu: Vec<u64>,
    /// Sets taken from the depot.
    pub depot: u64,
    /// All of them.
    pub sets: u64,
    /// Sets still cached afterwards.
    pub left: u64,
    /// Calls into the backend.
    pub calls: u64,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// `restored` or `cancelled`.
    Back(String),
    /// Given up; why.
    GivenUp(String),
    /// The events end before it does.
    Unknown,
}

/// A suspend, from its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspend {
    /// The guest's number for it.
    pub round: u64,
    /// When it was requested, seconds since the life's beginning.
    pub at: f64,
    /// When the guest was back, likewise.
    pub back: Option<f64>,
    /// Phases entered, in order: name and nanoseconds since the request.
    pub phases: Vec<(String, f64)>,
    /// The drain.
    pub drain: Option<Drain>,
    /// How it ended.
    pub end: End,
    /// vCPUs that were online.
    pub online: Vec<u64>,
    /// Seconds on the host's clock that the guest's clock does not know of.
    pub away: Option<f64>,
}

/// A guest's events in the order of its own clock, which goes on across suspends: after a migration
/// they come from two consoles that are read side by side. A reboot begins anew.
fn in_order(events: &[Timed]) -> Vec<&Timed> {
    let mut all: Vec<&Timed> = events.iter().collect();
    for one_boot in all.chunk_by_mut(|_, next| next.event.ev != "boot") {
        one_boot.sort_by_key(|timed| timed.event.t);
    }
    all
}

/// Finds the suspends in a guest's events.
pub fn suspends(life: &Life) -> Vec<Suspend> {
    let mut all: Vec<(Suspend, f64)> = Vec::new();
    let mut online: Vec<u64> = Vec::new();
    for Timed { at, event } in in_order(&life.events) {
        if let Some(now) = event.nums("online") {
            online = now;
        }
        match (event.ev.as_str(), event.num("vcpu")) {
            ("cpu-down", Some(vcpu)) => online.retain(|have| *have != vcpu),
            ("cpu-up", Some(vcpu)) if !online.contains(&vcpu) => online.push(vcpu),
            _ => {}
        }
        let t = event.t as f64;
        let round = event.num("round");
        if event.is("suspend", "phase", "requested") {
            let since = event.num("ns").unwrap_or(0) as f64;
            let suspend = Suspend {
                round: round.unwrap_or(0),
                at: *at,
                back: None,
                phases: vec![("requested".into(), since)],
                drain: None,
                end: End::Unknown,
                online: online.clone(),
                away: None,
            };
            all.push((suspend, t - since));
            continue;
        }
        // The rounds begin anew with a reboot: the last one of that number is meant.
        let mine = all.iter_mut().rfind(|(s, _)| Some(s.round) == round);
        let Some((suspend, begin)) = mine else {
            continue;
        };
        if let ("suspend", Some(ns)) = (event.ev.as_str(), event.num("ns")) {
            // A line may be written some time after the moment it tells of, never before it.
            *begin = begin.min(t - ns as f64);
        }
        match event.ev.as_str() {
            "suspend" => {
                if let (Some(phase), Some(ns)) = (event.text("phase"), event.num("ns")) {
                    suspend.phases.push((phase.to_owned(), ns as f64));
                }
            }
            "drain" => {
                let to = t - *begin;
                let num = |key| event.num(key).unwrap_or(0);
                suspend.drain = Some(Drain {
                    from: (to - num("ns") as f64).max(0.0),
                    to,
                    per_cpu: event.nums("per_cpu").unwrap_or_default(),
                    depot: num("depot"),
                    sets: num("sets"),
                    left: num("left"),
                    calls: num("backend_calls"),
                });
            }
            "resumed" => {
                suspend.end = End::Back(event.text("how").unwrap_or("back").to_owned());
                suspend.back = Some(*at);
                let exact = event.body.get("ns").and_then(|ns| ns.as_object());
                for (phase, ns) in exact.into_iter().flatten() {
                    let Some(ns) = ns.as_f64() else { continue };
                    match suspend.phases.iter_mut().find(|(p, _)| p == phase) {
                        Some(known) => known.1 = ns,
                        None => suspend.phases.push((phase.clone(), ns)),
                    }
                }
                suspend.phases.sort_by(|a, b| a.1.total_cmp(&b.1));
                if life.host_clock {
                    let guest = (t - *begin) / 1e9;
                    suspend.away = Some((at - suspend.at - guest).max(0.0));
                }
            }
            "suspend-failed" => {
                let word = |key| event.text(key).unwrap_or("?");
                suspend.end = End::GivenUp(format!(
                    "in phase {}, by {}: {}",
                    word("phase"),
                    word("party"),
                    word("msg")
                ));
                suspend.back = Some(*at);
            }
            _ => {}
        }
    }
    all.into_iter()
        .map(|(mut suspend, _)| {
            suspend.place_drain();
            suspend
        })
        .collect()
}

impl Suspend {
    /// The drain lies between the phases around it, however late its line was written.
    fn place_drain(&mut self) {
        let at = |phase: &str| {
            self.phases
                .iter()
                .find(|(p, _)| p == phase)
                .map(|(_, ns)| *ns)
        };
        let (from, to) = (at("quiesced").unwrap_or(0.0), at("drained"));
        if let Some(drain) = &mut self.drain {
            let late = to.map_or(0.0, |to| (drain.to - to).max(0.0));
            drain.to -= late;
            drain.from = (drain.from - late).max(from).min(drain.to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::life;
    use super::*;

    #[test]
    fn a_suspend_is_put_together_from_its_events() {
        let all = suspends(&life());
        assert_eq!(all.len(), 2);
        let first = &all[0];
        assert_eq!(first.end, End::Back("restored".into()));
        assert_eq!(first.online, [0, 1]);
        let drain = first.drain.as_ref().unwrap();
        assert_eq!((drain.from, drain.to), (11e6, 14e6));
        assert_eq!(drain.per_cpu, [9, 7]);
        // 5.0 s on the host's clock, 50 ms on the guest's.
        assert!((first.away.unwrap() - 4.95).abs() < 1e-6);
        assert_eq!(
            all[1].end,
            End::GivenUp("in phase audited, by guest: page <7>".into())
        );
    }

    #[test]
    fn a_drain_whose_line_came_late_stays_between_its_phases() {
        let mut suspend = suspends(&life())[0].clone();
        if let Some(drain) = &mut suspend.drain {
            drain.from += 100e6;
            drain.to += 100e6;
        }
        suspend.place_drain();
        let drain = suspend.drain.as_ref().unwrap();
        assert_eq!((drain.from, drain.to), (12e6, 15e6));
    }
}
