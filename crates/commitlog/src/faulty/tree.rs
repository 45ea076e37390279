//! The tree of directories, and the changes to their entries that are not durable yet.

use super::node::{DirNode, FileNode, Node, NodeId, kept};
use std::io;
use std::path::{Component, Path, PathBuf};

const ROOT: NodeId = 0;

#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    unsynced: Vec<EntryChange>,
}

/// An entry that came, went or both. Durable as a whole.
#[derive(Clone, Debug)]
struct EntryChange {
    node: NodeId,
    removed: Option<(NodeId, String)>,
    added: Option<(NodeId, String)>,
    /// A sync of it failed: no later one makes it durable.
    lost: bool,
}

impl EntryChange {
    fn touches(&self, dir: NodeId) -> bool {
        [&self.removed, &self.added]
            .into_iter()
            .flatten()
            .any(|(touched, _)| *touched == dir)
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![Node::Dir(DirNode::default())],
            unsynced: Vec::new(),
        }
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn names(path: &Path) -> impl Iterator<Item = String> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    })
}

impl Tree {
    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        names(path).try_fold(ROOT, |dir, name| {
            self.dir(dir)?
                .current
                .get(&name)
                .copied()
                .ok_or_else(not_found)
        })
    }

    fn dir(&self, id: NodeId) -> io::Result<&DirNode> {
        match &self.nodes[id] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn dir_mut(&mut self, id: NodeId) -> io::Result<&mut DirNode> {
        match &mut self.nodes[id] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file(&self, id: NodeId) -> io::Result<&FileNode> {
        match &self.nodes[id] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn file_mut(&mut self, id: NodeId) -> io::Result<&mut FileNode> {
        match &mut self.nodes[id] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// The directory of `path` and the name in it.
    fn place(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let name = names(path).last().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.find(parent)?, name))
    }

    fn add_node(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn change(&mut self, change: EntryChange) -> io::Result<()> {
        if let Some((dir, name)) = &change.removed {
            self.dir_mut(*dir)?.current.remove(name);
        }
        if let Some((dir, name)) = &change.added {
            self.dir_mut(*dir)?
                .current
                .insert(name.clone(), change.node);
        }
        self.unsynced.push(change);
        Ok(())
    }

    fn link(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let place = self.place(path)?;
        let node = self.add_node(node);
        self.change(EntryChange {
            node,
            removed: None,
            added: Some(place),
            lost: false,
        })?;
        Ok(node)
    }

    fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        let removed = Some(self.place(path)?);
        self.change(EntryChange {
            node,
            removed,
            added: None,
            lost: false,
        })
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<NodeId> {
        match self.find(path) {
            Ok(existing) => {
                self.file_mut(existing)?.set_len(0);
                Ok(existing)
            }
            Err(_) => self.link(path, Node::File(FileNode::default())),
        }
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        match self.find(path) {
            Ok(existing) => self.dir(existing).map(drop),
            Err(_) => self.link(path, Node::Dir(DirNode::default())).map(drop),
        }
    }

    pub(super) fn read_dir(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let entries = &self.dir(self.find(path)?)?.current;
        let named = |(name, &node): (&String, &NodeId)| (name.clone(), self.dir(node).is_ok());
        Ok(entries.iter().map(named).collect())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let (removed, added) = (Some(self.place(from)?), Some(self.place(to)?));
        self.change(EntryChange {
            node,
            removed,
            added,
            lost: false,
        })
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        self.file(node)?;
        self.unlink(path)
    }

    /// Removes entry by entry: a loss of power may leave any part of them.
    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let Ok(found) = self.find(path) else {
            return Ok(());
        };
        self.dir(found)?;
        for (name, is_dir) in self.read_dir(path)? {
            match is_dir {
                true => self.remove_dir_all(&path.join(name))?,
                false => self.unlink(&path.join(name))?,
            }
        }
        self.unlink(path)
    }

    /// Makes entries durable, or loses track of them.
    pub(super) fn sync_dir(&mut self, path: &Path, succeeded: bool) -> io::Result<()> {
        let dir = self.find(path)?;
        self.dir(dir)?;
        let waiting = self.unsynced.iter_mut().filter(|one| one.touches(dir));
        if !succeeded {
            waiting.for_each(|one| one.lost = true);
            return Ok(());
        }
        let durable = |one: &mut EntryChange| one.touches(dir) && !one.lost;
        let durable: Vec<_> = self.unsynced.extract_if(.., durable).collect();
        durable.iter().try_for_each(|one| self.make_durable(one))
    }

    fn make_durable(&mut self, change: &EntryChange) -> io::Result<()> {
        if let Some((dir, name)) = &change.removed {
            let entries = &mut self.dir_mut(*dir)?.synced;
            if entries.get(name) == Some(&change.node) {
                entries.remove(name);
            }
        }
        if let Some((dir, name)) = &change.added {
            let entries = &mut self.dir_mut(*dir)?.synced;
            entries.insert(name.clone(), change.node);
        }
        Ok(())
    }

    pub(super) fn after_kill(&self) -> Self {
        let mut found = self.clone();
        found.unsynced.iter_mut().for_each(|one| one.lost = false);
        for node in &mut found.nodes {
            if let Node::File(file) = node {
                file.retry_lost();
            }
        }
        found.forget_unreachable();
        found
    }

    pub(super) fn as_synced(&self) -> Self {
        let mut found = self.clone();
        found.unsynced.clear();
        for node in &mut found.nodes {
            match node {
                Node::File(file) => *file = file.as_synced(),
                Node::Dir(dir) => dir.current.clone_from(&dir.synced),
            }
        }
        found.forget_unreachable();
        found
    }

    pub(super) fn after_power_cut(&self, rng: &mut fastrand::Rng) -> Self {
        let mut found = self.clone();
        for change in kept(&self.unsynced, rng) {
            // Both places are directories, or the change could not have been made.
            let _infallible = found.make_durable(change);
        }
        found.unsynced.clear();
        for node in &mut found.nodes {
            match node {
                Node::File(file) => *file = file.after_power_cut(rng),
                Node::Dir(dir) => dir.current.clone_from(&dir.synced),
            }
        }
        found.forget_unreachable();
        found
    }

    /// Gives back the content of files that nobody can find any more.
    fn forget_unreachable(&mut self) {
        let mut reachable = vec![false; self.nodes.len()];
        let mut waiting = vec![ROOT];
        waiting.extend(self.unsynced.iter().map(|change| change.node));
        while let Some(id) = waiting.pop() {
            if std::mem::replace(&mut reachable[id], true) {
                continue;
            }
            if let Node::Dir(dir) = &self.nodes[id] {
                waiting.extend(dir.current.values().chain(dir.synced.values()));
            }
        }
        for (node, _) in self
            .nodes
            .iter_mut()
            .zip(reachable)
            .filter(|(_, kept)| !kept)
        {
            *node = Node::File(FileNode::default());
        }
    }

    /// Puts a file there, durably.
    pub(super) fn plant(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut dir = PathBuf::new();
        for name in path.parent().into_iter().flat_map(names) {
            dir.push(name);
            self.create_dir(&dir)?;
        }
        let node = self.create_file(path)?;
        *self.file_mut(node)? = FileNode::synced(content.to_vec());
        let mut synced = Some(path);
        while let Some(dir) = synced.and_then(Path::parent) {
            self.sync_dir(dir, true)?;
            synced = Some(dir);
        }
        Ok(())
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        self.walk(ROOT, Path::new(""), &mut |path, _| files.push(path));
        files
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let mut bytes = 0;
        self.walk(ROOT, Path::new(""), &mut |_, file| {
            bytes += file.content().len() as u64;
        });
        bytes
    }

    fn walk(&self, id: NodeId, path: &Path, visit: &mut impl FnMut(PathBuf, &FileNode)) {
        match &self.nodes[id] {
            Node::File(file) => visit(path.to_owned(), file),
            Node::Dir(dir) => {
                for (name, &entry) in &dir.current {
                    self.walk(entry, &path.join(name), visit);
                }
            }
        }
    }
}
