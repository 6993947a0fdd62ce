//! Lists: selected, sorted, and a page of them at a time.

use serde_json::{Map, Value, json};

use crate::api::Request;
use crate::error::{ApiError, Outcome};
use crate::labels;
use crate::selector::Selector;

const PER_PAGE: usize = 25;
const MOST_PER_PAGE: usize = 50;

/// What is asked for of `all`, under `name`, with `meta.pagination`. Filters that are not in `filters` do not exist.
pub(crate) fn list(name: &str, mut all: Vec<Value>, request: &Request<'_>, filters: &[&str]) -> Outcome<Value> {
    if let Some(selector) = request.parameter("label_selector") {
        let selector = Selector::parse(selector)?;
        all.retain(|entry| labels::parse(&entry["labels"]).is_ok_and(|labels| selector.matches(&labels)));
    }
    for filter in filters {
        let wanted: Vec<&str> = request.parameters(filter).collect();
        if !wanted.is_empty() {
            all.retain(|entry| wanted.iter().any(|wanted| text_of(&entry[*filter]) == *wanted));
        }
    }
    sort(&mut all, request)?;
    page(name, all, request)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn sort(all: &mut [Value], request: &Request<'_>) -> Outcome<()> {
    // The last one first: a stable sort keeps what it has done.
    let orders: Vec<&str> = request.parameters("sort").collect();
    for order in orders.into_iter().rev() {
        let (field, direction) = order.split_once(':').unwrap_or((order, "asc"));
        if !["id", "name", "created", "command", "status", "started", "finished"].contains(&field) {
            return Err(ApiError::invalid("sort", "unknown field"));
        }
        let key = |entry: &Value| (entry[field].as_u64(), entry[field].as_str().map(str::to_owned));
        match direction {
            "asc" => all.sort_by_key(key),
            "desc" => all.sort_by_key(|entry| std::cmp::Reverse(key(entry))),
            _ => return Err(ApiError::invalid("sort", "unknown direction")),
        }
    }
    Ok(())
}

fn page(name: &str, all: Vec<Value>, request: &Request<'_>) -> Outcome<Value> {
    let page = number(request, "page", 1, usize::MAX)?;
    let per_page = number(request, "per_page", PER_PAGE, MOST_PER_PAGE)?;
    let total = all.len();
    let last = total.div_ceil(per_page).max(1);
    let entries: Vec<Value> = all.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
    let pagination = json!({
        "page": page,
        "per_page": per_page,
        "previous_page": (page > 1).then(|| (page - 1).min(last)),
        "next_page": (page < last).then_some(page + 1),
        "last_page": last,
        "total_entries": total,
    });
    let mut map = Map::new();
    map.insert(name.to_owned(), entries.into());
    map.insert("meta".to_owned(), json!({ "pagination": pagination }));
    Ok(map.into())
}

fn number(request: &Request<'_>, name: &str, default: usize, most: usize) -> Outcome<usize> {
    let Some(text) = request.parameter(name) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| *number >= 1);
    number.map(|number: usize| number.min(most)).ok_or_else(|| ApiError::invalid(name, "must be a positive number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(query: &[(&str, &str)]) -> (Vec<u64>, Value) {
        let all = (1..=60).map(|id| json!({ "id": id, "name": format!("n{}", 60 - id), "labels": {} })).collect();
        let request = Request::get("/servers", query);
        let mut answer = list("servers", all, &request, &["name"]).unwrap();
        let ids = answer["servers"].as_array().unwrap().iter().filter_map(|entry| entry["id"].as_u64()).collect();
        (ids, answer["meta"]["pagination"].take())
    }

    #[test]
    fn pages_are_25_long_and_50_at_most() {
        let (first, pagination) = ids(&[]);
        let (last, of_last) = ids(&[("per_page", "200"), ("page", "2")]);

        assert_eq!((first.len(), first[0]), (25, 1));
        assert_eq!(
            pagination,
            json!({ "page": 1, "per_page": 25, "previous_page": null, "next_page": 2, "last_page": 3, "total_entries": 60 })
        );
        assert_eq!(last, (51..=60).collect::<Vec<u64>>());
        assert_eq!((&of_last["next_page"], &of_last["previous_page"]), (&Value::Null, &json!(1)));
    }

    #[test]
    fn lists_are_filtered_and_sorted() {
        assert_eq!(ids(&[("name", "n59")]).0, [1]);
        assert_eq!(ids(&[("sort", "id:desc"), ("per_page", "2")]).0, [60, 59]);
        assert_eq!(ids(&[("sort", "name"), ("per_page", "1")]).0, [60]);
    }

    #[test]
    fn a_page_that_is_no_number_is_refused() {
        let refused =
            |query: &[(&str, &str)]| list("servers", Vec::new(), &Request::get("/servers", query), &[]).is_err();

        assert!(refused(&[("page", "0")]) && refused(&[("per_page", "x")]) && refused(&[("sort", "size")]));
    }
}
