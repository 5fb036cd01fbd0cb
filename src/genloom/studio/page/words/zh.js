// Chinese, in the groups of en.js.

export default {
  "": {
    "title": "genloom 工作室", "skip": "跳到正文", "nav": "视图", "language": "EN", "language.name": "EN，切换到英文", "signout": "退出登录", "notice": "此处的内容均由人工智能生成。",
    "close": "关闭", "cancel": "取消", "more": "显示更多", "retry": "重试", "copy": "复制", "copied": "已复制", "loading": "加载中…",
  },
  nav: {
    "make": "创作", "gallery": "作品", "jobs": "任务", "review": "审核", "keys": "密钥", "check": "检测", "explore": "探索", "train": "训练", "judge": "评判", "more": "更多",
  },
  theme: {
    "dark": "深色", "light": "浅色",
  },
  error: {
    "offline": "服务器没有响应。genloom serve 还在运行吗？", "status": "服务器返回 {status}。", "retry": "请在 {seconds} 秒后重试。",
  },
  time: {
    "seconds": "{n} 秒", "minutes": "{n} 分钟", "hours": "{n} 小时",
  },
  signin: {
    "title": "登录", "lead": "此服务器需要密钥。", "key": "密钥", "wrong": "密钥无效，请向服务器管理员索取。",
  },
  make: {
    "settings": "设置", "results": "结果", "none": "还没有可用的模型。", "train": "训练一个", "generate": "生成", "stop": "停止", "keys": "Ctrl+Enter 生成，Esc 停止", "class": "类别",
    "any": "任意", "find": "查找类别", "prompt": "开头", "prompt.hint": "模型会接着写下去", "caption": "描述", "caption.hint": "要画什么", "negative": "不要", "negative.hint": "引导会避开的内容", "midi": "从 MIDI 文件开始", "n": "数量", "seed.hint": "相同的种子得到相同的结果", "lock": "固定这个种子", "unlock": "每次换新种子",
    "dice": "掷一个新种子", "seed.any": "随机", "options": "细调", "reset": "恢复默认值", "ready": "准备就绪", "ready.hint": "选好要做的，然后点“生成”。", "step": "第 {step} 步",
    "of": "第 {step} 步，共 {steps} 步", "working": "正在生成 {n} 个…", "done": "{n} 个，用时 {time}", "cancelled": "已停止。", "failed": "没有成功", "history": "本次访问的生成",
    "again": "再次显示：{model}，{n} 个", "cut": "连接在出结果前中断了。", "ignored": "未被读取：{what}。",
  },
  model: {
    "classes": "{n} 个类别", "dims": "{n} 维", "length": "最多 {n} 字", "events": "最多 {n} 个事件",
  },
  option: {
    "steps": "步数", "guidance": "引导强度", "guide_from": "引导起始噪声", "guide_to": "引导终止噪声", "rescale": "保持对比度", "eta": "新噪声", "solver": "求解器", "temperature": "温度",
    "top_k": "只取最可能的 k 个", "top_p": "只取最可能的份额", "min_p": "最低可能性", "truncation": "截断", "noise": "加入噪声", "none": "未设置",
  },
  hint: {
    "steps": "步数越多越慢，通常更精细", "guidance": "越高越贴近类别，变化越少", "temperature": "低则稳妥，高则大胆", "truncation": "低则典型，高则多样",
  },
  item: {
    "image": "{model}，{label}，种子 {seed}", "held": "等待审核", "held.hint": "由审核员决定能否显示。", "unlabelled": "任意类别", "copy": "复制文本", "open": "打开",
  },
  plot: {
    "label": "{n} 个点的散点图。方向键逐点移动，回车打开。", "table": "以表格显示", "earlier": "淡色：此模型较早的点", "axes": "第 1、2 维，共 {n} 维",
  },
  detail: {
    "title": "其中一个", "model": "模型", "label": "类别", "seed": "种子", "created": "时间", "state": "状态", "id": "记录", "prompt": "开头", "download": "下载", "vary": "变体",
    "vary.hint": "同一类别，相邻的种子", "reuse": "使用这些设置", "code": "用代码生成", "previous": "上一个", "next": "下一个", "delete": "永久删除", "delete.sure": "确定删除？", "deleted": "已删除",
  },
  state: {
    "free": "可用", "held": "待审核", "approved": "已通过", "rejected": "已拒绝",
  },
  gallery: {
    "lead": "你生成的全部内容，最新的在前。", "empty": "这里还是空的", "empty.hint": "生成的内容会保存在这里。", "make": "去创作",
    "every": "全部", "select": "选择", "chosen": "已选 {n} 个", "all": "选择显示的全部", "zip": "下载 ZIP", "sure": "确定删除这 {n} 个？", "gone": "已删除 {n} 个", "done": "完成",
  },
  jobs: {
    "lead": "关闭页面后仍会继续的工作。", "empty": "还没有任务", "empty.hint": "训练一个模型，在这里看它进展。", "list": "全部任务",
  },
  job: {
    "train": "训练", "sample": "采样", "evaluate": "评估", "compare": "比较", "queued": "等待中", "running": "进行中", "succeeded": "完成", "failed": "失败", "cancelled": "已取消",
    "cancelling": "正在停止", "ahead": "前面还有 {ahead} 个", "took": "用时 {time}", "since": "已 {time}", "use": "用 {name} 创作", "progress": "{name} 的进度", "result": "结果",
    "report": "报告", "request": "请求", "survey": "检视", "forecast": "预估",
  },
  train: {
    "title": "训练模型", "data": "数据", "own": "我的文件", "drop": "把 zip、表格或文本拖到这里，或点击选择", "chosen": "{name}，{size}", "digits": "数字", "glyphs": "字形",
    "factors": "已知成因的形状", "moons": "双月", "rings": "圆环", "gaussians": "高斯", "family": "方法", "flow": "流匹配", "flow.hint": "全能：沿直线从噪声走到数据", "gan": "GAN",
    "gan.hint": "清晰，采样快", "vae": "VAE", "vae.hint": "训练最快，画面较柔；每个样本有编码", "diffusion": "扩散", "diffusion.hint": "逐步去噪；耐心而精细", "autoregressive": "自回归",
    "autoregressive.hint": "一个接一个；最适合文本", "minutes": "分钟", "name": "名称", "name.hint": "小写字母、数字、点、短横和下划线", "go": "开始训练", "started": "训练已开始",
    "uploading": "正在上传…", "nofile": "请先选择一个文件。", "lead": "从你的数据到你自己的模型。", "folder": "选择文件夹", "empty": "里面没有文件。", "much": "{n} 个文件，{size}：网页处理不了。请用 genloom 命令。",
    "packing": "正在打包 {done} / {n}…", "packed": "{name}：{n} 个文件，{size}", "none": "还没有训练", "none.hint": "选择数据和方法，然后开始。", "runs": "训练列表", "maynot": "你的密钥不能训练。", "captions": "学习描述文字", "captions.hint": "模型便能按你的描述来生成", "captions.not": "此方法不读取描述文字。",
  },
  review: {
    "lead": "被过滤器留下的内容，由你决定能否显示。", "empty": "没有待审核的内容", "empty.hint": "过滤器留下的内容会出现在这里。", "for": "留下的原因", "reason": "理由", "approve": "通过", "reject": "拒绝",
    "needs": "请写明拒绝的理由。", "approved": "已通过", "rejected": "已拒绝", "hidden": "图像无法显示",
  },
  keys: {
    "lead": "谁可以使用服务器，做什么，用多少。", "empty": "还没有密钥", "empty.hint": "没有密钥时，本机无需密钥。", "name.hint": "字母、数字、点、短横、下划线和 @", "scopes": "可以", "minute": "每分钟请求数",
    "day": "每天样本数", "unlimited": "不限", "new": "新密钥", "add": "创建密钥", "secret": "请现在复制，只显示这一次。", "remove": "删除 {name}", "remove.sure": "确定删除？",
    "removed": "{name} 已删除", "needs": "密钥至少需要一项权限。", "first": "有了第一个密钥后，本机也需要密钥；你会自动用它登录。",
  },
  scope: {
    "generate": "生成内容", "train": "训练模型", "admin": "审核和管理密钥",
  },
  check: {
    "lead": "是人工智能生成的吗？看看文件带有哪些标记。", "drop": "把文件拖到这里，或点击选择", "working": "正在查看…", "hint": "图像、文本或表格。不会保留。", "detected": "已找到", "not_detected": "未找到",
    "some": "此文件带有标记", "nothing": "没有找到标记", "nothing.hint": "这不能证明是人做的：标记可能丢失或被去除。", "about": "标记详情",
  },
  mark: {
    "c2pa": "签名清单（C2PA）", "sidecar": "附带的签名文件", "watermark": "隐形水印", "record": "此服务器的记录", "aigc_label": "AIGC 标识", "digital_source_type": "注明由人工智能生成",
  },
  film: {
    "play": "播放", "pause": "暂停",
  },
  explore: {
    "lead": "看看两个种子之间有什么，样本是怎样生成的。", "how": "看什么", "walk": "漫步", "codes": "编码", "making": "生成过程", "from": "起点种子", "to": "终点种子", "frames": "帧数", "go": "开始漫步",
    "watch": "观看生成", "at": "从 {from} 到 {to} 的 {share} % 处", "done": "{n} 帧", "end": "完成", "walk.hint": "两个种子，以及它们之间的一切，连成一段影片。",
    "making.hint": "一个样本从最初的猜测到最后，连成一段影片。", "letters": "{n} 个字符",
  },
  codes: {
    "hint": "每个数是模型自己的一个维度；0 是中点。", "ready": "移动一个数，或从中点、随机处开始。", "part": "第 {i} 个数", "rest": "另外 {n} 个", "roll": "随机", "middle": "中点", "alt": "解码后的编码", "directions": "方向",
    "directions.hint": "把具有某种特征的标为 A，没有的标为 B：两者之差就是一个滑块。", "pick": "点击即标为", "a": "A", "a.hint": "有", "b": "B", "b.hint": "无", "start": "起点",
    "start.hint": "从它开始", "make": "生成从 B 到 A 的滑块", "none": "请先生成一些样本，然后在这里选取。", "both": "请至少标一个 A 和一个 B。", "way": "方向 {n}", "way.hint": "向左靠近 B，向右靠近 A",
    "forget": "删除{name}",
  },
  judge: {
    "lead": "它有多好？看带有不确定度的数字，也看你自己的眼睛。", "part.reports": "报告", "part.vote": "盲选", "ask": "评判模型", "ask.hint": "用模型从未见过的数据评判。选多个就会比较。", "models": "模型",
    "which": "请至少选择一个模型。", "started": "评判已开始", "reports": "并排查看", "noreports": "还没有报告。", "empty": "没有选择报告", "empty.hint": "评判一个模型，或勾选一份报告。",
    "value": "数值和 95 % 区间", "interval": "{low} 到 {high}", "n": "每侧 n = {n}", "floor": "真实对真实 {value}", "trivial": "平凡生成器 {value}", "off": "，超出刻度",
    "lower": "越低越好。", "higher": "越高越好。", "closer": "越接近真实数据越好。", "best": "{name} 最好。", "even": "没有显示出差别。", "some": "{names} 之间没有显示出差别；其余较差。", "passed": "通过",
    "notpassed": "未通过", "pairs": "最近的训练样本", "pairs.hint": "左边是模型生成的，右边是训练用的。若很相像，请仔细看。", "pairs.none": "这份报告没有成对样本。", "generated": "生成", "training": "训练样本",
    "distance": "距离 {value}",
  },
  measure: {
    "kid": "KID", "kid.plain": "样本与未见过的真实数据相距多远。", "frechet": "Fr\u00e9chet 距离", "frechet.plain": "以均值和离散程度概括两群数据。", "two_sample": "双样本检验",
    "two_sample.plain": "分类器把样本与真实数据分开的频率。", "precision": "精确率", "precision.plain": "落在真实数据所在之处的样本比例。", "recall": "召回率", "recall.plain": "落在样本所在之处的真实数据比例。",
    "density": "密度", "density.plain": "样本所在之处有多少真实数据。", "coverage": "覆盖率", "coverage.plain": "附近有样本的真实数据比例。", "label_accuracy": "类别准确率",
    "label_accuracy.plain": "符合所要求类别的样本比例。", "diversity": "多样性", "diversity.plain": "样本彼此相距多远；1 与数据相同。", "class_kl": "类别均衡", "class_kl.plain": "各类别的份额与数据相差多少。",
    "bits_per_dim": "每维比特数", "bits_per_dim.plain": "未见数据的一个数值需要多少比特。", "bits_per_char": "每字符比特数", "bits_per_char.plain": "未见文本的一个字符需要多少比特。", "nll": "负对数似然",
    "nll.plain": "模型对未见数据有多惊讶。", "copies": "训练样本的复制品", "copies.plain": "比未见数据更贴近训练样本的样本比例。", "classifier_score": "Inception 式得分",
    "classifier_score.plain": "样本清晰而多样时较高。", "distinct_4": "不同片段", "distinct_4.plain": "四字符片段中不同者的比例。", "repetition": "重复",
    "repetition.plain": "同一文本中出现过的片段比例。",
  },
  vote: {
    "title": "盲选", "lead": "两个模型成对生成。不显示名称，左右随机，最后揭晓。", "few": "盲选需要两个模型", "few.hint": "两者须同为图像或同为文本。", "a": "一个模型", "b": "另一个模型", "seeds": "配对",
    "same": "相同种子", "same.hint": "两边类别相同", "own": "各自种子", "own.hint": "随机而来", "rounds": "多少对", "go": "开始盲选", "unlike": "请选择两个不同的同类模型。", "question": "哪个更好？",
    "left": "左", "right": "右", "tie": "不分上下", "left.alt": "左边的", "right.alt": "右边的", "keys": "按键：1 或 \u2190 选左，2 或 \u2192 选右，0 或 \u2193 不分",
    "of": "第 {i} 对，共 {n} 对", "progress": "盲选进度", "stop": "到此结束", "over": "投票结果", "again": "再来一次", "none": "还没有人做出选择。", "prefers": "{a} 更受偏爱。",
    "opposes": "{b} 更受偏爱。", "undecided": "没有显示出偏好：区间包含一半。", "share": "{a} 赢得已定票的 {share} %（95 % 区间 {low} 到 {high} %）。",
    "tally": "共 {votes} 票：{a} {wins} 票，{b} {losses} 票，不分上下 {ties} 票。", "unveil": "各是谁生成的", "chose": "选了：{name}",
  },
  survey: {
    "working": "正在全部读取…", "read": "读取了 {n} 个", "out": "排除了 {n} 个", "kept": "（仍然使用）", "more": "另外 {n} 个", "duplicates": "{n} 个重复", "captions": "{n} 条描述文字",
  },
  kind: {
    "image": "图像", "points": "点", "text": "文本",
  },
  split: {
    "train": "训练用：", "valid": "挑选用：", "test": "评判用：",
  },
  forecast: {
    "working": "正在排演，以估计需要多少…", "queued": "排演在等待：前面还有 {ahead} 个", "time": "时间", "memory": "内存", "disk": "磁盘",
  },
  watch: {
    "samples": "途中的样本", "look": "曲线和样本", "left": "还剩 {time}", "stopping": "将在检查点停下", "resume": "继续", "nothing": "还没有内容。",
  },
  curve: {
    "told": "{name}：从 {first} 到 {last}，第 {step} 步", "log": "对数", "more": "另外 {n} 条曲线", "grad_norm": "梯度范数", "items_per_s": "每秒样本数", "seconds": "秒",
  },
  alarm: {
    "discriminator_wins": "判别器占了上风", "discriminator_overfits": "判别器背下了数据", "collapse": "崩塌：样本看起来都一样", "posterior_died": "编码不携带信息", "codebook_died": "码本大多未被使用",
    "plateau": "不再变好",
  },
  health: {
    "title": "服务器状况", "waiting": "等待的请求", "running": "进行中的请求", "jobs": "未完成的任务", "workers": "工作进程", "deaths": "进程死亡", "rejected": "被拒绝", "half": "半数生成",
    "most": "95 % 的生成", "none": "还没有",
  },
  original: {
    "from": "原图", "maybe": "从一张图像开始", "drop": "把图像拖到这里，或点击选择", "grey": "重新为它上色", "small2": "把它放大到两倍", "small4": "把它放大到四倍", "masked": "然后涂出要填补的空缺",
    "paired": "把它转换成另一种图像", "unpaired": "把它转换成另一种图像", "edit": "改变整张图像，或只改变涂抹之处", "source": "所用的原图", "remove": "换一张图像", "cut": "使用图中的这一部分。",
    "paint.hole": "涂出要填补的地方。什么都不涂时，每个样本各有自己的空缺。", "paint.edit": "涂出可以改变的地方；什么都不涂时，处处都可改变。", "strength": "改变多少", "strength.hint": "0 保持原图，1 全部重画",
    "unreadable": "此浏览器无法读取这张图像。", "missing": "请先选择一张图像：此模型由图像生成。", "again": "原始素材没有保存，请重新选择。", "code": "这里的 source.png 是原图；mask.png 在涂抹处是透明的。",
  },
  tune: {
    "name": "为这段旋律配声部", "drop": "把 MIDI 文件拖到这里，或点击选择", "hint": "文件中的音轨作为前几个声部，其余声部由模型写出", "chosen": "旋律：{name}。", "remove": "换一段旋律", "code": "旋律文件在此处名为 source.mid。",
  },
  keyboard: {
    "play": "在这里弹奏", "name": "钢琴", "hint": "用指针弹奏，或在琴键获得焦点时用字母 A、W、S、E、D 等弹奏。音符落在八分音符上。", "tempo": "每分钟拍数", "click": "每拍一响", "undo": "撤回最后一个音", "clear": "重新弹奏",
    "connect": "使用 MIDI 键盘", "connected": "已接通的 MIDI 键盘：{n}", "none": "没有找到 MIDI 键盘。",
  },
  brush: {
    "size": "画笔粗细", "tools": "画笔", "paint": "涂抹", "erase": "擦除", "undo": "撤销", "clear": "全部清除", "board": "可涂抹的图像：拖动，或用方向键移动、空格键涂抹；按住 Shift 和方向键涂一条线。",
    "share": "已涂 {share} %。",
  },
};
