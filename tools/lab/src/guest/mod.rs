//! The guests: configuration, console, events.

pub mod config;
pub mod console;
pub mod event;
pub mod linux;
pub mod standard;
