//! Links from documents to files of the project.

use crate::File;
use std::path::{Component, Path, PathBuf};

/// Links of documents to files that do not exist. Whether a heading exists is
/// not checked, nor is anything outside the project.
pub(crate) fn check(files: &[File], exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.name.ends_with(".md")) {
        let folder = Path::new(&file.name).parent().unwrap_or(Path::new(""));
        for (line, target) in targets(file) {
            let outside = target.contains("://") || target.starts_with("mailto:");
            let path = target.split('#').next().unwrap_or(target);
            if outside || path.is_empty() {
                continue;
            }
            let found = match path.strip_prefix('/') {
                Some(_) => false,
                None => normal(&folder.join(path)).is_some_and(|path| exists(&path)),
            };
            if !found {
                violations.push(format!("{}:{line}: links to {target}, not there", file.name));
            }
        }
    }
    violations
}

/// What is linked to, by `[text](target)` or `[name]: target`, outside of code.
fn targets(file: &File) -> Vec<(usize, &str)> {
    let mut targets = Vec::new();
    let mut fence = false;
    for (line, text) in file.lines() {
        if text.trim_start().starts_with("```") {
            fence = !fence;
        }
        if fence || text.starts_with("    ") {
            continue;
        }
        if let Some((_, target)) = text.strip_prefix('[').and_then(|text| text.split_once("]: ")) {
            targets.push((line, target));
        }
        // Every other part is between backticks.
        for prose in text.split('`').step_by(2) {
            let links = prose.split("](").skip(1);
            targets.extend(links.filter_map(|rest| Some((line, rest.split(')').next()?))));
        }
    }
    // A link may have a title behind its target.
    let first = |target: &'_ str| target.find(' ').unwrap_or(target.len());
    targets.iter().map(|(line, target)| (*line, &target[..first(target)])).collect()
}

/// `path` without `.` and `..`; `None` if it leads out of the project.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => normal.pop().then_some(())?,
            Component::Normal(name) => normal.push(name),
            _ => {}
        }
    }
    Some(normal)
}

mod tests {
    use super::*;

    #[test]
    fn broken_links_are_found() {
        let text = "[good](../src/a.rs#L1), [web](https://x.y/z), [here](#heading),\n\
                    `[code](nowhere)` ![bad](b.svg \"title\") and [out](../../../c)\n\
                    ```\n[fenced](nowhere)\n```\n[name]: d.md\n[rooted](/src/a.rs)\n";
        let files = [File::new("docs/x.md", text), File::new("docs/x.txt", "[no](nowhere)")];
        let violations = check(&files, |path| path == Path::new("src/a.rs"));
        assert_eq!(
            violations,
            [
                "docs/x.md:2: links to b.svg, not there",
                "docs/x.md:2: links to ../../../c, not there",
                "docs/x.md:6: links to d.md, not there",
                "docs/x.md:7: links to /src/a.rs, not there",
            ]
        );
    }
}
