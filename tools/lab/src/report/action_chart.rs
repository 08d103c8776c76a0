//! What was done to a guest: a lane of numbered bars, and the list that the numbers lead to.

use maud::{html, Markup};

use super::found::Act;
use super::scale::{duration, Percent, Scale};

/// The lane's height.
pub const HEIGHT: f64 = 26.0;

fn class(act: &Act) -> &'static str {
    match (act.result.as_str(), act.to) {
        ("ok", Some(_)) => "ok",
        _ => "failed",
    }
}

/// The bars.
pub fn lane(acts: &[Act], scale: &Scale) -> Markup {
    html! {
        @for (n, act) in acts.iter().enumerate() {
            @let x = scale.at(act.from);
            @let width = scale.width(act.from, act.to.unwrap_or(f64::INFINITY));
            rect class={ "act " (class(act)) } x=(x) y="2" width=(Percent((width.0 - 0.2).max(0.15))) height=(HEIGHT - 8.0) rx="3" {
                title { (n + 1) ". " (act.what) ": " (act.result) }
            }
            @if width.0 > 3.5 {
                text.act-n x=(Percent(x.0 + width.0 / 2.0)) y="15.5" text-anchor="middle" { (n + 1) }
            }
        }
    }
}

/// The list.
pub fn list(acts: &[Act]) -> Markup {
    html! {
        @if !acts.is_empty() {
            ol.acts {
                @for act in acts {
                    li class=(class(act)) {
                        (act.what)
                        @if let Some(to) = act.to { " " span.muted { (duration((to - act.from) * 1e9)) } }
                        @if act.result != "ok" { " " span.bad { (act.result) } }
                    }
                }
            }
        }
    }
}
