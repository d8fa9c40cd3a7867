//! Style and scripts, compiled in. Their addresses carry a digest of what they hold, so that browsers
//! may keep them and never mix two versions.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::super::problem::Problem;

struct Asset {
    name: &'static str,
    media: &'static str,
    body: &'static str,
}

static ASSETS: [Asset; 4] = [
    Asset {
        name: "page.css",
        media: "text/css; charset=utf-8",
        body: include_str!("../../../assets/page.css"),
    },
    Asset {
        name: "page.js",
        media: "text/javascript; charset=utf-8",
        body: include_str!("../../../assets/page.js"),
    },
    Asset {
        name: "idiomorph.js",
        media: "text/javascript; charset=utf-8",
        body: include_str!("../../../assets/idiomorph-0.8.0.min.js"),
    },
    Asset {
        name: "icon.svg",
        media: "image/svg+xml",
        body: include_str!("../../../assets/icon.svg"),
    },
];

static ADDRESSES: LazyLock<[String; 4]> = LazyLock::new(|| {
    ASSETS.each_ref().map(|asset| {
        format!("/assets/{}?v={:08x}", asset.name, lacuna_core::stamp::origin(asset.body))
    })
});

/// Where the page finds this asset.
///
/// # Panics
/// There is none of this name.
pub(super) fn address(name: &str) -> &'static str {
    let index = ASSETS.iter().position(|asset| asset.name == name);
    &ADDRESSES[index.expect("the page names its own assets")]
}

pub(in crate::http) async fn asset(Path(name): Path<String>, uri: Uri) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        let what = format!("there is nothing at {}", uri.path());
        return Problem::new(StatusCode::NOT_FOUND, what).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.media),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.body).into_response()
}
