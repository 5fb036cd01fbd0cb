// Chinese.

export default {
  "title": "genloom 工作室",
  "skip": "跳到正文",
  "nav": "视图", "nav.make": "创作", "nav.gallery": "作品", "nav.jobs": "任务", "nav.review": "审核", "nav.keys": "密钥", "nav.check": "检测",
  "language": "EN", "language.name": "切换到英文", "theme.dark": "深色", "theme.light": "浅色", "signout": "退出登录",
  "notice": "此处的内容均由人工智能生成。",
  "close": "关闭", "cancel": "取消", "more": "显示更多", "retry": "重试", "copy": "复制", "copied": "已复制", "loading": "加载中…",
  "error.offline": "服务器没有响应。genloom serve 还在运行吗？",
  "error.status": "服务器返回 {status}。", "error.retry": "请在 {seconds} 秒后重试。",
  "time.seconds": "{n} 秒", "time.minutes": "{n} 分钟", "time.hours": "{n} 小时",

  "signin.title": "登录", "signin.lead": "此服务器需要密钥。", "signin.key": "密钥", "signin.go": "登录", "signin.wrong": "密钥无效，请向服务器管理员索取。",

  "make.title": "创作", "make.model": "模型", "make.settings": "设置", "make.results": "结果", "make.none": "还没有可用的模型。", "make.train": "训练一个",
  "make.generate": "生成", "make.stop": "停止", "make.keys": "Ctrl+Enter 生成，Esc 停止",
  "make.class": "类别", "make.any": "任意", "make.find": "查找类别", "make.prompt": "开头", "make.prompt.hint": "模型会接着写下去",
  "make.n": "数量", "make.seed": "种子", "make.seed.hint": "相同的种子得到相同的结果",
  "make.lock": "固定这个种子", "make.unlock": "每次换新种子", "make.dice": "掷一个新种子", "make.seed.any": "随机",
  "make.options": "细调", "make.reset": "恢复默认值",
  "make.ready": "准备就绪", "make.ready.hint": "选好要做的，然后点“生成”。",
  "make.step": "第 {step} 步", "make.of": "第 {step} 步，共 {steps} 步", "make.working": "正在生成 {n} 个…",
  "make.done": "{n} 个，用时 {time}", "make.cancelled": "已停止。", "make.failed": "没有成功",
  "make.history": "本次访问的生成", "make.again": "再次显示：{model}，{n} 个", "make.cut": "连接在出结果前中断了。",
  "model.classes": "{n} 个类别", "model.dims": "{n} 维", "model.length": "最多 {n} 字",
  "option.steps": "步数", "hint.steps": "步数越多越慢，通常更精细",
  "option.guidance": "引导强度", "hint.guidance": "越高越贴近类别，变化越少",
  "option.guide_from": "引导起始噪声", "option.guide_to": "引导终止噪声", "option.solver": "求解器",
  "option.temperature": "温度", "hint.temperature": "低则稳妥，高则大胆",
  "option.top_k": "只取最可能的 k 个", "option.top_p": "只取最可能的份额", "option.min_p": "最低可能性", "option.truncation": "截断", "hint.truncation": "低则典型，高则多样", "option.noise": "加入噪声",
  "option.none": "未设置",

  "item.image": "{model}，{label}，种子 {seed}", "item.held": "等待审核", "item.held.hint": "由审核员决定能否显示。", "item.unlabelled": "任意类别", "item.copy": "复制文本", "item.open": "打开",
  "plot.label": "{n} 个点的散点图。方向键逐点移动，回车打开。", "plot.table": "以表格显示", "plot.earlier": "淡色：此模型较早的点", "plot.axes": "第 1、2 维，共 {n} 维",
  "detail.title": "其中一个", "detail.model": "模型", "detail.label": "类别", "detail.seed": "种子", "detail.created": "时间", "detail.state": "状态", "detail.id": "记录", "detail.prompt": "开头",
  "detail.download": "下载", "detail.vary": "变体", "detail.vary.hint": "同一类别，相邻的种子", "detail.reuse": "使用这些设置",
  "detail.code": "用代码生成", "detail.previous": "上一个", "detail.next": "下一个", "detail.delete": "永久删除", "detail.delete.sure": "确定删除？", "detail.deleted": "已删除",
  "state.free": "可用", "state.held": "待审核", "state.approved": "已通过", "state.rejected": "已拒绝",

  "gallery.title": "作品", "gallery.lead": "你生成的全部内容，最新的在前。", "gallery.empty": "这里还是空的", "gallery.empty.hint": "生成的内容会保存在这里。", "gallery.make": "去创作",

  "jobs.title": "任务", "jobs.lead": "关闭页面后仍会继续的工作。", "jobs.empty": "还没有任务", "jobs.empty.hint": "训练一个模型，在这里看它进展。", "jobs.list": "全部任务",
  "job.train": "训练", "job.sample": "采样", "job.evaluate": "评估", "job.compare": "比较",
  "job.queued": "等待中", "job.running": "进行中", "job.succeeded": "完成", "job.failed": "失败", "job.cancelled": "已取消", "job.cancelling": "正在停止",
  "job.ahead": "前面还有 {ahead} 个", "job.took": "用时 {time}", "job.since": "已 {time}", "job.use": "用 {name} 创作", "job.progress": "{name} 的进度", "job.result": "结果", "job.report": "报告", "job.request": "请求",
  "train.title": "训练模型", "train.data": "数据", "train.own": "我的文件", "train.drop": "把 zip、表格或文本拖到这里，或点击选择", "train.chosen": "{name}，{size}",
  "train.digits": "数字", "train.glyphs": "字形", "train.moons": "双月", "train.rings": "圆环", "train.gaussians": "高斯",
  "train.family": "方法", "train.flow": "流匹配", "train.flow.hint": "全能：沿直线从噪声走到数据", "train.gan": "GAN", "train.gan.hint": "清晰，采样快",
  "train.vae": "VAE", "train.vae.hint": "训练最快，画面较柔；每个样本有编码", "train.diffusion": "扩散", "train.diffusion.hint": "逐步去噪；耐心而精细", "train.autoregressive": "自回归", "train.autoregressive.hint": "一个接一个；最适合文本",
  "train.minutes": "分钟", "train.name": "名称", "train.name.hint": "小写字母、数字、点、短横和下划线", "train.go": "开始训练", "train.started": "训练已开始", "train.uploading": "正在上传…", "train.nofile": "请先选择一个文件。",

  "review.title": "审核", "review.lead": "被过滤器留下的内容，由你决定能否显示。", "review.empty": "没有待审核的内容", "review.empty.hint": "过滤器留下的内容会出现在这里。",
  "review.for": "留下的原因", "review.reason": "理由", "review.approve": "通过", "review.reject": "拒绝", "review.needs": "请写明拒绝的理由。", "review.approved": "已通过", "review.rejected": "已拒绝", "review.hidden": "图像无法显示",

  "keys.title": "密钥", "keys.lead": "谁可以使用服务器，做什么，用多少。", "keys.empty": "还没有密钥", "keys.empty.hint": "没有密钥时，本机无需密钥。",
  "keys.name": "名称", "keys.name.hint": "字母、数字、点、短横、下划线和 @", "keys.scopes": "可以", "scope.generate": "生成内容", "scope.train": "训练模型", "scope.admin": "审核和管理密钥", "keys.minute": "每分钟请求数", "keys.day": "每天样本数", "keys.unlimited": "不限",
  "keys.new": "新密钥", "keys.add": "创建密钥", "keys.secret": "请现在复制，只显示这一次。", "keys.remove": "删除 {name}", "keys.remove.sure": "确定删除？", "keys.removed": "{name} 已删除", "keys.needs": "密钥至少需要一项权限。", "keys.first": "有了第一个密钥后，本机也需要密钥；你会自动用它登录。",

  "check.title": "检测", "check.lead": "是人工智能生成的吗？看看文件带有哪些标记。", "check.drop": "把文件拖到这里，或点击选择", "check.working": "正在查看…", "check.hint": "图像、文本或表格。不会保留。",
  "check.detected": "已找到", "check.not_detected": "未找到", "check.some": "此文件带有标记", "check.nothing": "没有找到标记", "check.nothing.hint": "这不能证明是人做的：标记可能丢失或被去除。", "check.about": "标记详情",
  "mark.c2pa": "签名清单（C2PA）", "mark.sidecar": "附带的签名文件", "mark.watermark": "隐形水印", "mark.record": "此服务器的记录", "mark.aigc_label": "AIGC 标识", "mark.digital_source_type": "注明由人工智能生成",
};
