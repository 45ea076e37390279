{{/*
What the agents mount of their nodes, for values.agent.access; all read-only. minimal mounts nothing.
(dict of the setting's name: where it is on the node and in the container)
*/}}
{{- define "weir.agent.mounts" -}}
{{- $mounts := dict -}}
{{- if ne .Values.agent.access "minimal" -}}
{{- $mounts = dict "procfs" (list "/proc" "/host/proc") "sysfs" (list "/sys" "/host/sys") -}}
{{- end -}}
{{- if eq .Values.agent.access "filesystems" -}}
{{- $_ := set $mounts "rootfs" (list "/" "/host/root") -}}
{{- end -}}
{{- toYaml $mounts -}}
{{- end -}}

{{/* What is sent with host.info: who measured, and what settings.labels adds. */}}
{{- define "weir.agent.labels" -}}
pod=$(POD_NAME),namespace=$(POD_NAMESPACE),zone=$(NODE_ZONE)
{{- with (default dict .Values.agent.settings).labels }},{{ . }}{{ end -}}
{{- end -}}

{{/* The agents' priority class; empty for none. Another namespace may have a release of this name. */}}
{{- define "weir.agent.priorityClassName" -}}
{{- with .Values.agent.priorityClass -}}
{{- $made := printf "%s-%s" (include "weir.componentName" (list $ "agent")) $.Release.Namespace -}}
{{- .create | ternary $made "" | default .name -}}
{{- end -}}
{{- end -}}
