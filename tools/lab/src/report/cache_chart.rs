//! Sets in each vCPU's cache over a guest's life, with the drains, the hotplugs and the times away.

use maud::{html, Markup};

use super::action_chart;
use super::found::{Life, Timed};
use super::scale::{short, Percent, Scale};
use super::suspends::Suspend;

/// A lane's height, and the room above the bars in it.
const LANE: f64 = 38.0;
const PAD: f64 = 6.0;
/// More vCPUs than these are not drawn.
const MOST: usize = 64;

/// What a cache held from some moment on.
type Step = (f64, u64);

/// A vCPU's (or the depot's) cache over time.
#[derive(Debug, Default, Clone, PartialEq)]
struct Cache {
    steps: Vec<Step>,
    /// Offline from, to.
    offline: Vec<(f64, Option<f64>)>,
}

/// What happens to all caches at once.
#[derive(Debug, Clone, PartialEq)]
struct Mark {
    at: f64,
    text: String,
}

/// What the figure shows.
#[derive(Debug, Default, Clone, PartialEq)]
struct Caches {
    vcpus: Vec<Cache>,
    depot: Cache,
    drains: Vec<Mark>,
}

fn read(events: &[Timed]) -> Caches {
    let mut all = Caches::default();
    for Timed { at, event } in events {
        let per_cpu = match event.ev.as_str() {
            "churn" => event.nums("cached"),
            "drain" => event.nums("per_cpu"),
            _ => None,
        };
        if let Some(sets) = per_cpu {
            let sets = &sets[..sets.len().min(MOST)];
            if all.vcpus.len() < sets.len() {
                all.vcpus.resize(sets.len(), Cache::default());
            }
            for (cache, n) in all.vcpus.iter_mut().zip(sets) {
                cache.steps.push((*at, *n));
            }
            all.depot.steps.push((*at, event.num("depot").unwrap_or(0)));
            if event.ev == "drain" {
                let sets = event.num("sets").unwrap_or(0);
                for cache in all.vcpus.iter_mut().chain([&mut all.depot]) {
                    cache.steps.push((*at, 0));
                }
                all.drains.push(Mark {
                    at: *at,
                    text: format!(
                        "drain ({}): {sets} sets taken",
                        event.text("why").unwrap_or("?")
                    ),
                });
            }
        }
        let vcpu = event.num("vcpu").and_then(|n| usize::try_from(n).ok());
        let Some(cache) = vcpu.and_then(|n| all.vcpus.get_mut(n)) else {
            continue;
        };
        match event.ev.as_str() {
            "cpu-down" => {
                cache.steps.push((*at, event.num("drained").unwrap_or(0)));
                cache.steps.push((*at, event.num("left").unwrap_or(0)));
                cache.offline.push((*at, None));
            }
            "cpu-up" => {
                if let Some(last) = cache.offline.last_mut().filter(|(_, to)| to.is_none()) {
                    last.1 = Some(*at);
                }
            }
            _ => {}
        }
    }
    all
}

/// The area below the steps, in a box of 1000 by 100.
fn path(steps: &[Step], scale: &Scale, most: u64, end: f64) -> String {
    let y = |n: u64| 100.0 - n as f64 / most.max(1) as f64 * 100.0;
    let x = |at: f64| scale.at(at).0 * 10.0;
    let Some(first) = steps.first() else {
        return String::new();
    };
    let mut path = format!("M{:.1} 100", x(first.0));
    for (n, (at, sets)) in steps.iter().enumerate() {
        path.push_str(&format!("L{:.1} {:.1}", x(*at), y(*sets)));
        let until = steps.get(n + 1).map_or(end, |(at, _)| *at);
        path.push_str(&format!("H{:.1}", x(until)));
    }
    path.push_str("V100Z");
    path
}

/// The figure; nothing if the guest said nothing of its caches.
pub fn figure(life: &Life, suspends: &[Suspend], id: &str) -> Markup {
    let caches = read(&life.events);
    if caches.vcpus.is_empty() {
        return html! {};
    }
    let end = life
        .events
        .last()
        .map(|e| e.at)
        .into_iter()
        .chain(life.acts.iter().filter_map(|act| act.to))
        .fold(1.0, f64::max);
    let scale = Scale::new(0.0, end, 0.0, 100.0);
    let lanes: Vec<(String, &Cache)> = caches
        .vcpus
        .iter()
        .enumerate()
        .map(|(n, cache)| (format!("vCPU {n}"), cache))
        .chain([("depot".to_owned(), &caches.depot)])
        .collect();
    let most = lanes
        .iter()
        .flat_map(|(_, cache)| cache.steps.iter().map(|step| step.1))
        .max()
        .unwrap_or(0)
        .max(1);
    let top = if life.acts.is_empty() {
        0.0
    } else {
        action_chart::HEIGHT
    };
    let height = top + LANE * lanes.len() as f64;
    let title = format!("{}: sets in each cache over {} s", life.name, short(end));
    html! {
        figure.caches {
            figcaption {
                strong { "Caches per vCPU" } " "
                span.muted { "full height: " (most) " sets; " @if life.host_clock { "host's clock" } @else { "guest's clock" } }
            }
            div.lanes {
                div.names aria-hidden="true" {
                    @if top > 0.0 { div style=(format!("height:{top}px")) { "action" } }
                    @for (name, _) in &lanes { div style=(format!("height:{LANE}px")) { (name) } }
                }
                svg role="img" aria-labelledby=(format!("{id}-t")) height=(height + 22.0) {
                    title id=(format!("{id}-t")) { (title) }
                    @for tick in scale.ticks(6) {
                        @let x = scale.at(tick);
                        line.grid x1=(x) x2=(x) y1=(top) y2=(height) {}
                        text.tick x=(x) y=(height + 15.0) text-anchor=(if x.0 < 3.0 { "start" } else if x.0 > 97.0 { "end" } else { "middle" }) { (short(tick)) @if tick == 0.0 { " s" } }
                    }
                    (action_chart::lane(&life.acts, &scale))
                    @for suspend in suspends {
                        @if let Some(back) = suspend.back {
                            rect.away x=(scale.at(suspend.at)) y=(top) width=(scale.width(suspend.at, back)) height=(height - top) {
                                title { "suspend " (suspend.round) }
                            }
                        }
                    }
                    @for (n, (_, cache)) in lanes.iter().enumerate() {
                        @let y = top + LANE * n as f64;
                        svg x="0" y=(y + PAD) width="100%" height=(LANE - PAD) viewBox="0 0 1000 100" preserveAspectRatio="none" {
                            path.cache d=(path(&cache.steps, &scale, most, end)) {}
                        }
                        @for (from, to) in &cache.offline {
                            rect.offline x=(scale.at(*from)) y=(y + PAD) width=(scale.width(*from, to.unwrap_or(end))) height=(LANE - PAD) { title { "offline" } }
                            (hotplug(scale.at(*from), y + LANE, true))
                            @if let Some(to) = to { (hotplug(scale.at(*to), y + LANE, false)) }
                        }
                        line.base x1="0" x2="100%" y1=(y + LANE) y2=(y + LANE) {}
                    }
                    @for drain in &caches.drains {
                        @let x = scale.at(drain.at);
                        line.drain-line x1=(x) x2=(x) y1=(top) y2=(height) { title { (drain.text) } }
                    }
                }
            }
            ul.legend {
                li { span class="key cache" {} "sets cached" }
                li { span class="key drain-bar" {} "drain of every cache (" (caches.drains.len()) ")" }
                li { span class="key away" {} "suspended and away" }
                li { span class="key offline" {} "offline, ▼ left after its own drain, ▲ back" }
            }
            (action_chart::list(&life.acts))
        }
    }
}

/// A mark where a vCPU left or came.
fn hotplug(x: Percent, y: f64, down: bool) -> Markup {
    html! {
        text class=(if down { "plug down" } else { "plug up" }) x=(x) y=(y - 2.0)
            text-anchor=(if x.0 < 2.0 { "start" } else if x.0 > 98.0 { "end" } else { "middle" }) { (if down { "▼" } else { "▲" }) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::suspends::suspends;
    use super::*;

    #[test]
    fn caches_drop_to_nothing_at_a_drain() {
        let life = sample::life();
        let caches = read(&life.events);
        assert_eq!(caches.vcpus.len(), 2);
        assert_eq!(caches.drains.len(), 1);
        let at: Vec<u64> = caches.vcpus[1].steps.iter().map(|s| s.1).collect();
        assert_eq!(at, [16, 16, 0, 0, 7, 0, 2]);
        assert_eq!(caches.vcpus[1].offline, [(2.5, Some(4.0))]);
        let suspends = suspends(&life);
        let page = figure(&life, &suspends, "c").into_string();
        assert!(page.contains("drain (suspend): 18 sets taken"));
        assert!(page.contains("▼") && page.contains("▲"));
        assert!(figure(&Life::default(), &[], "d").into_string().is_empty());
    }

    #[test]
    fn a_path_stays_in_its_box() {
        let scale = Scale::new(0.0, 10.0, 0.0, 100.0);
        assert_eq!(
            path(&[(0.0, 5), (5.0, 10)], &scale, 10, 10.0),
            "M0.0 100L0.0 50.0H500.0L500.0 0.0H1000.0V100Z"
        );
        assert_eq!(path(&[], &scale, 0, 10.0), "");
    }
}
