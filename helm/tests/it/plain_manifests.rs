//! What is made from the chart and committed, and the plain manifests as `kubectl` reads them.

use std::fs;
use std::path::Path;
use std::process::Command;
use weir_chart::{generated, root};

#[test]
fn committed_files_are_what_the_chart_makes() {
    let stale = generated::stale_files().unwrap();
    let paths: Vec<_> = stale.iter().map(|file| file.path.display()).collect();
    assert!(
        paths.is_empty(),
        "`cargo xtask manifests` changes {paths:?}"
    );
}

#[test]
fn kubectl_apply_reads_objects_only_and_the_namespace_first() {
    let documents = documents_as_kubectl_apply_reads_them();
    assert!(documents.len() > 10, "{}", documents.len());
    assert!(
        documents[0].contains("\nkind: Namespace\n"),
        "{}",
        documents[0]
    );
    for document in &documents {
        for line in ["\napiVersion: ", "\nkind: ", "\nmetadata:\n", "\n  name: "] {
            assert!(document.contains(line), "no {line:?} in {document}");
        }
        for of_helm in ["helm.sh", "managed-by", "Kustomization"] {
            assert!(!document.contains(of_helm), "{of_helm} in {document}");
        }
    }
}

#[test]
fn kustomize_builds_the_same_objects() {
    let built = kustomize(&root().join("k8s"));
    let applied = documents_as_kubectl_apply_reads_them();
    assert_eq!(built.matches("\nkind: ").count(), applied.len(), "{built}");
}

#[test]
fn the_overlay_of_the_readme_changes_images_and_disk() {
    let built = overlay_of_the_readme("overlay", &["kustomization.yaml", "storage.yaml"]);
    for name in ["weir-broker", "weir-agent", "weir-ui"] {
        let image = format!("image: registry.example.com/{name}:");
        assert_eq!(built.matches(&image).count(), 1, "{image}");
    }
    assert!(built.contains("storage: 100Gi"));
    assert!(!built.contains("storage: 20Gi"));
}

#[test]
fn the_overlay_of_the_readme_moves_everything_to_another_namespace() {
    let built = overlay_of_the_readme("messages", &["kustomization.yaml"]);
    let plain = kustomize(&root().join("k8s"));
    let moved = plain.matches("\n  namespace: weir\n").count();
    assert!(moved > 10, "{plain}");
    assert_eq!(built.matches("\n  namespace: messages\n").count(), moved);
    assert_eq!(built.matches("weir-broker.messages.svc:5000").count(), 2);
    assert!(!built.contains("weir.svc"), "{built}");
}

/// What `kubectl` makes of an overlay: files that the page shows, in a folder beside k8s/.
fn overlay_of_the_readme(folder: &str, files: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let [base, overlay] = ["k8s", folder].map(|name| directory.path().join(name));
    fs::create_dir(&base).unwrap();
    fs::create_dir(&overlay).unwrap();
    for file in fs::read_dir(root().join("k8s")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), base.join(file.file_name())).unwrap();
    }
    let readme = fs::read_to_string(base.join("README.md")).unwrap();
    for name in files {
        fs::write(
            overlay.join(name),
            block(&readme, &format!("{folder}/{name}")),
        )
        .unwrap();
    }
    kustomize(&overlay)
}

/// The block of the page that begins with the file's path.
fn block(page: &str, path: &str) -> String {
    let begin = format!("```yaml\n# {path}\n");
    let (_, rest) = page.split_once(&begin).expect("the page has the file");
    let (block, _) = rest.split_once("```").expect("the block ends");
    if is_old_kubectl() {
        // What these are called before kubectl 1.21, which Debian 12 still has.
        let block = block.replace("\npatches:\n", "\npatchesJson6902:\n");
        return block.replace("\nresources:\n", "\nbases:\n");
    }
    block.to_owned()
}

fn is_old_kubectl() -> bool {
    let output = Command::new("kubectl")
        .args(["version", "--client", "-o", "json"])
        .output();
    let output = output.expect("package kubernetes-client brings kubectl");
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let minor = version["clientVersion"]["minor"].as_str().unwrap();
    minor.trim_end_matches('+').parse::<u32>().unwrap() < 21
}

/// `kubectl apply -f` takes *.yaml, *.yml and *.json by name, and looks into no folder.
fn documents_as_kubectl_apply_reads_them() -> Vec<String> {
    let files = fs::read_dir(root().join("k8s")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("yaml" | "yml" | "json"))
    };
    let texts = files.iter().filter(|path| read(path));
    let texts = texts.map(|path| fs::read_to_string(path).unwrap());
    let documents = texts.flat_map(|text| {
        let documents = text.split("\n---").map(str::to_owned);
        documents.collect::<Vec<_>>()
    });
    // Before the first line `---` stands the header.
    documents
        .filter(|document| !document.starts_with('#') && !document.trim().is_empty())
        .collect()
}

fn kustomize(directory: &Path) -> String {
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(directory)
        .output();
    let output = output.expect("package kubernetes-client brings kubectl");
    assert!(output.status.success(), "{output:?}");
    format!("\n{}", String::from_utf8(output.stdout).unwrap())
}
