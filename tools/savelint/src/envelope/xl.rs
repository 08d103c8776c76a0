//! xl's header (`tools/xl/xl.h`), before libxl's stream.

use crate::config::{self, Config};
use crate::envelope::copy;
use crate::envelope::others::not_a_stream;
use crate::finding::Code;
use crate::format::*;
use crate::input::Input;
use crate::report::Format;
use crate::source::Stop;

/// `struct save_file_header` and its optional data: the configuration.
pub fn header(input: &mut Input<'_>, format: &mut Format) -> Result<Config, Stop> {
    let header = input.source.take(XL_HEADER)?;
    let (order, mandatory) = (u32_at(header, 32), u32_at(header, 36));
    let length = u32_at(header, 44);
    if order != XL_BYTE_ORDER {
        return not_a_stream("xl's header says another byte order, which xl refuses");
    }
    format.xl = true;
    if mandatory & XL_STREAM_V2 == 0 {
        return not_a_stream("xl's header says that the format of Xen 4.5 and older follows");
    }
    if mandatory & !(XL_JSON | XL_STREAM_V2) != 0 {
        input.findings.add(Code::XlHeader, || {
            format!("mandatory flags {mandatory:#x}: xl refuses those it does not know")
        });
    }
    if length == 0 {
        input.findings.add(Code::XlHeader, || {
            "no configuration; xl restore needs one on its command line".into()
        });
        return Ok(Config::default());
    }
    if length < 4 {
        input.source.skip(length.into())?;
        input.findings.add(Code::XlHeader, || {
            format!("optional data of {length} bytes, too short for a configuration's length")
        });
        return Ok(Config::default());
    }
    let size = u32_at(input.source.take(4)?, 0);
    let rest = length - 4;
    if size > rest {
        input.source.skip(rest.into())?;
        input.findings.add(Code::XlHeader, || {
            format!("a configuration of {size} bytes in optional data of {length}")
        });
        return Ok(Config::default());
    }
    if mandatory & XL_JSON == 0 || size > config::LONGEST {
        // Text in xl's own syntax, which has no bearing here, or absurdly long.
        input.source.skip(rest.into())?;
        return Ok(Config::default());
    }
    let text = copy(input, size.into())?;
    input.source.skip((rest - size).into())?;
    Ok(Config::from_json(&text).unwrap_or_else(|why| {
        input.findings.add(Code::XlHeader, || {
            format!("the configuration cannot be read: {why}")
        });
        Config::default()
    }))
}
