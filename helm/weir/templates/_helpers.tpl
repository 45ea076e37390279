{{/*
The names that this chart's templates share. Those that need a component take a list:
(list $ "broker"), (list $ "agent"), (list $ "ui").
*/}}

{{/* The chart's name, or what nameOverride says. */}}
{{- define "weir.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 45 | trimSuffix "-" -}}
{{- end -}}

{{/*
What all names begin with: the release's name, with the chart's name behind it unless it is in it.
45 characters leave room for "-broker-headless" in the 63 of a label, and for the hash that a
StatefulSet adds to "-broker".
*/}}
{{- define "weir.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of a component's objects: weir-broker. */}}
{{- define "weir.componentName" -}}
{{- printf "%s-%s" (include "weir.fullname" (index . 0)) (index . 1) -}}
{{- end -}}

{{- define "weir.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The namespace of broker and dashboard. */}}
{{- define "weir.namespace" -}}
{{- .Release.Namespace -}}
{{- end -}}

{{/* The namespace of the agents. */}}
{{- define "weir.agent.namespace" -}}
{{- default .Release.Namespace .Values.agent.namespace.name -}}
{{- end -}}

{{/* The Pod Security level that the agents' mounts need: hostPath is more than "baseline" allows. */}}
{{- define "weir.agent.podSecurityLevel" -}}
{{- eq .Values.agent.access "minimal" | ternary "restricted" "privileged" -}}
{{- end -}}

{{/* What selects a component's pods; immutable once installed. */}}
{{- define "weir.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "weir.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The labels of pods: without the chart's version, which alone is no reason to restart one. */}}
{{- define "weir.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "weir.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: weir
app.kubernetes.io/managed-by: {{ $root.Release.Service | quote }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels of every object. */}}
{{- define "weir.labels" -}}
{{ include "weir.podLabels" . }}
helm.sh/chart: {{ include "weir.chart" (index . 0) }}
{{- end -}}

{{/*
name, namespace, labels and annotations of an object:
(dict "root" $ "component" "broker" "name" "…" "namespace" "…" "labels" (dict) "annotations" (dict))
Without a name it is the component's; without a namespace the object belongs to the whole cluster.
*/}}
{{- define "weir.metadata" -}}
{{- $of := list .root .component -}}
name: {{ default (include "weir.componentName" $of) .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- $labels := include "weir.labels" $of | fromYaml }}
  {{- toYaml (merge (deepCopy (default dict .labels)) $labels) | nindent 2 }}
{{- with merge (deepCopy (default dict .annotations)) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The image of a component, or of another section that has an image: (list $ .Values.broker.image). */}}
{{- define "weir.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}
@{{ $image.digest }}
{{- else -}}
:{{ coalesce $image.tag $root.Values.image.tag $root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The name of a component's service account. */}}
{{- define "weir.serviceAccountName" -}}
{{- $account := (index (index . 0).Values (index . 1)).serviceAccount -}}
{{- $account.create | ternary (include "weir.componentName" .) "default" | default $account.name -}}
{{- end -}}

{{/* An address to listen at: (list "::" 5000) is [::]:5000. */}}
{{- define "weir.listen" -}}
{{- $host := index . 0 -}}
{{- contains ":" $host | ternary (printf "[%s]" $host) $host }}:{{ int (index . 1) }}
{{- end -}}

{{/* The host by which everything in the cluster finds the broker. */}}
{{- define "weir.brokerHost" -}}
{{- include "weir.componentName" (list . "broker") }}.{{ include "weir.namespace" . }}.svc
{{- end -}}

{{/* The broker that a component talks to: (list $ "agent"). */}}
{{- define "weir.brokerUrl" -}}
{{- $root := index . 0 -}}
{{- with (index $root.Values (index . 1)).brokerUrl -}}
{{- . -}}
{{- else -}}
http://{{ include "weir.brokerHost" $root }}:{{ int $root.Values.broker.ports.http }}
{{- end -}}
{{- end -}}
