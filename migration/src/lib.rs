//! migration.
#![no_std]
